"use strict";
// The page is complete without this script; it only chooses what is shown and lets definitions appear at once.
(() => {
  for (const section of document.querySelectorAll("section[data-controls]")) {
    const controls = section.querySelector(".controls");
    const selects = [...section.querySelectorAll(".controls select")];
    const apply = () => {
      for (const item of section.querySelectorAll("[data-select]")) {
        item.hidden = selects.some((s) => s.name in item.dataset && item.dataset[s.name] !== s.value);
      }
    };
    for (const select of selects) select.addEventListener("change", apply);
    if (selects.some((s) => s.options.length > 1)) controls.hidden = false;
    apply();
  }

  const tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("role", "tooltip");
  tip.hidden = true;
  document.body.append(tip);
  const hide = () => { tip.hidden = true; };
  const show = (term) => {
    tip.textContent = term.dataset.tip;
    tip.hidden = false;
    const box = term.getBoundingClientRect();
    const left = Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 8);
    const above = box.bottom + 8 + tip.offsetHeight > window.innerHeight && box.top - 8 > tip.offsetHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${above ? box.top - tip.offsetHeight - 6 : box.bottom + 6}px`;
  };
  for (const term of document.querySelectorAll("[title].term")) {
    term.dataset.tip = term.title;
    term.removeAttribute("title");
    term.addEventListener("mouseenter", () => show(term));
    term.addEventListener("focus", () => show(term));
    term.addEventListener("mouseleave", hide);
    term.addEventListener("blur", hide);
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true, capture: true });

  const details = [...document.querySelectorAll("details")];
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = details.filter((d) => !d.open);
    for (const d of closed) d.open = true;
  });
  window.addEventListener("afterprint", () => { for (const d of closed) d.open = false; });
})();
