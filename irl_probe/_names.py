"""Labels in results: what rewards, policies and coverages are called there."""

TRUE = "true"  # the environment's own reward, as a reference and among other rewards
TRUE_REWARD = "true reward"  # policies trained on it, in /retraining and /transfer
CONSTANT = "constant"  # the reward 1 at every step
RECOVERED = "recovered"  # the recovered reward, in a comparison with its distilled forms
CARRIED_OVER = "carried over"  # the imitator's own policy, unchanged, in /transfer

EXPERT = "expert"
LEARNED = "learned"
RETRAINED = "retrained"
RANDOM = "random"
MIXTURE = "mixture"
CLONED = "bc"
UNNAMED = "data"  # the coverage of transitions that were given without a name
UNCHANGED = "nothing"  # the parameter of a variant that changes nothing

BASELINES = (TRUE, CONSTANT, TRUE_REWARD)  # rewards that are shown for comparison and are not judged
NOT_REWARDS = (RANDOM, CARRIED_OVER, TRUE_REWARD)  # policies of /transfer that were not trained on a reward under test
