"use strict";
// The page is complete without this script. It adds controls that choose what is shown, definitions on hover, focus or
// tap, and brushing of episodes: it draws the rewards of the chosen episodes over time, and shows their correlation.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // Controls. The choice of a reward or of data applies to every section that offers it.
  const sections = all("section[data-controls]");
  const selectsOf = (section) => all(".controls select", section);
  const apply = (section) => {
    let figures = 0;
    for (const item of all("[data-select]", section)) {
      item.hidden = selectsOf(section).some((s) => s.value && s.name in item.dataset && item.dataset[s.name] !== s.value);
      if (!item.hidden) figures += 1;
    }
    section.querySelector(".empty").hidden = figures > 0;
  };
  for (const section of sections) {
    for (const select of selectsOf(section)) {
      select.addEventListener("change", () => {
        for (const other of sections) {
          for (const twin of selectsOf(other)) {
            if (twin.name === select.name && [...twin.options].some((o) => o.value === select.value)) twin.value = select.value;
          }
          apply(other);
        }
      });
    }
    if (selectsOf(section).some((s) => s.options.length > 1)) section.querySelector(".controls").hidden = false;
    apply(section);
  }

  // Brushing.
  const block = document.getElementById("brush-data");
  const data = block ? JSON.parse(block.textContent) : { coverages: {} };
  const format = (value) => {
    const size = Math.abs(value);
    const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 0.1 || size === 0 ? 2 : 4;
    return value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: size >= 100 ? 0 : digits }).replace("-", "−");
  };
  const decoded = new Map();
  const along = (series, row, count) => {
    if (!decoded.has(series)) decoded.set(series, Uint8Array.from(atob(series.bytes), (c) => c.charCodeAt(0)));
    const bytes = decoded.get(series).subarray(row * data.points, row * data.points + count);
    return Array.from(bytes, (b) => series.low[row] + (series.high[row] - series.low[row]) * b / 255);
  };
  const mean = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const standardised = (values) => {
    const centre = mean(values), spread = Math.sqrt(mean(values.map((v) => (v - centre) ** 2)));
    return values.map((v) => spread > 0 ? (v - centre) / spread : 0);
  };
  const pearson = (x, y) => {
    const a = standardised(x), b = standardised(y);
    return a.every((v) => v === 0) || b.every((v) => v === 0) ? NaN : mean(a.map((v, i) => v * b[i]));
  };
  const svg = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const drawTrace = (truth, recovered, length, label) => {
    const [width, height, left, right, top, bottom] = [317, 216, 42, 8, 22, 34];
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "live" });
    const extent = Math.max(1, ...truth.map(Math.abs), ...recovered.map(Math.abs)) * 1.05;
    const x = (i, n) => left + (width - left - right) * (n > 1 ? i / (n - 1) : 0.5);
    const y = (v) => top + (height - top - bottom) * (extent - v) / (2 * extent);
    const step = extent > 4 ? 2 : 1;
    for (let v = -Math.floor(extent / step) * step; v <= extent; v += step) {
      picture.append(svg("line", { x1: left, x2: width - right, y1: y(v), y2: y(v), class: "grid" }));
      picture.append(svg("text", { x: left - 5, y: y(v) + 2.5, "text-anchor": "end" }, String(v).replace("-", "−")));
    }
    for (const share of [0, 0.5, 1]) {
      const place = left + (width - left - right) * share;
      const anchor = share === 1 ? "end" : share === 0 ? "start" : "middle";
      picture.append(svg("text", { x: place, y: height - bottom + 12, "text-anchor": anchor }, String(Math.round(share * (length - 1)))));
    }
    picture.append(svg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "time in the episode (environment steps)"));
    const middle = (top + height - bottom) / 2;
    picture.append(svg("text", { x: 10, y: middle, "text-anchor": "middle", transform: `rotate(-90 10 ${middle})` }, "reward (standard deviations)"));
    for (const [values, kind] of [[truth, "true"], [recovered, "recovered"]]) {
      const points = values.map((v, i) => `${x(i, values.length).toFixed(1)},${y(v).toFixed(1)}`).join(" ");
      picture.append(svg("polyline", { points, class: kind }));
    }
    for (const [kind, at, text] of [["true", 150, "true reward"], ["recovered", 225, "recovered reward"]]) {
      picture.append(svg("line", { x1: at, x2: at + 14, y1: 10, y2: 10, class: kind }));
      picture.append(svg("text", { x: at + 18, y: 13 }, text));
    }
    return picture;
  };

  const brush = (figure, trace) => {
    const { reward, coverage } = figure.dataset;
    const set = data.coverages[coverage];
    const picture = figure.querySelector("svg");
    const dots = all(".episodes use", picture);
    if (!set || !(reward in set.series) || dots.length !== set.episode.length) return;
    const truth = set.series[""], recovered = set.series[reward];
    const still = trace.querySelector("svg"), caption = trace.querySelector("figcaption"), written = caption.textContent;
    let chosen = [], at = 0, live = null;

    const say = make("p", { className: "brushed" });
    say.setAttribute("role", "status");
    const button = (text, label, act) => {
      const made = make("button", { type: "button", textContent: text, onclick: act });
      made.setAttribute("aria-label", label);
      return made;
    };
    const walk = (by) => {
      const rows = chosen.length ? chosen : ordered;
      at = live ? (at + by + rows.length) % rows.length : 0;
      show(rows[at]);
      tell();
    };
    const clear = () => {
      chosen = [];
      if (live) live.remove();
      live = null;
      still.removeAttribute("hidden");
      caption.textContent = written;
      for (const dot of dots) dot.classList.remove("out", "picked");
      tell();
    };
    const ordered = dots.map((_, i) => i).sort((a, b) => truth.total[a] - truth.total[b]);
    const tools = make("div", { className: "tools" },
      button("← previous", "Previous episode", () => walk(-1)), button("next →", "Next episode", () => walk(1)),
      button("clear", "Clear the choice of episodes", clear));
    figure.append(tools, say);

    const tell = () => {
      if (!chosen.length) {
        say.textContent = "Drag over dots, or click one, to see those episodes over time.";
        return;
      }
      const of = (values) => chosen.map((i) => values[i]);
      const lengths = of(set.length);
      const within = chosen.length > 2 ? pearson(of(truth.total), of(recovered.total)) : NaN;
      const parts = [`${chosen.length} episode${chosen.length > 1 ? "s" : ""} of ${Math.min(...lengths)} to ${Math.max(...lengths)} steps`];
      if (chosen.length > 2) parts.push(Number.isNaN(within) ? "no Pearson among them (no spread)" : `Pearson among them ${format(within)}`);
      say.textContent = `${parts.join("; ")}.`;
    };
    const show = (row) => {
      const length = set.length[row], count = Math.min(length, data.points);
      const text = `Episode ${set.episode[row]}: ${format(length)} steps, true return ${format(truth.total[row])}, recovered return ${format(recovered.total[row])}.`;
      const drawn = drawTrace(standardised(along(truth, row, count)), standardised(along(recovered, row, count)), length, text);
      if (live) live.replaceWith(drawn); else still.before(drawn);
      live = drawn;
      still.setAttribute("hidden", "");
      caption.textContent = `${text} “${reward}” on ${coverage} data, both rewards standardised.`;
      dots.forEach((dot, i) => {
        dot.classList.toggle("picked", i === row);
        dot.classList.toggle("out", chosen.length > 0 && !chosen.includes(i));
      });
    };

    const centres = () => dots.map((dot) => {
      const box = dot.getBoundingClientRect();
      return [box.left + box.width / 2, box.top + box.height / 2];
    });
    let from = null, frame = null;
    picture.classList.add("brushable");
    picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      from = [event.clientX, event.clientY];
      if (event.pointerType === "touch") return; // a drag scrolls; a tap still chooses
      frame = make("div", { className: "frame" });
      document.body.append(frame);
      picture.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    picture.addEventListener("pointermove", (event) => {
      if (!from || !frame) return;
      Object.assign(frame.style, {
        left: `${Math.min(from[0], event.clientX)}px`, top: `${Math.min(from[1], event.clientY)}px`,
        width: `${Math.abs(event.clientX - from[0])}px`, height: `${Math.abs(event.clientY - from[1])}px`,
      });
    });
    const stop = () => {
      if (frame) frame.remove();
      from = frame = null;
    };
    picture.addEventListener("pointercancel", stop);
    picture.addEventListener("pointerup", (event) => {
      if (!from) return;
      const [x0, x1] = [from[0], event.clientX].sort((a, b) => a - b), [y0, y1] = [from[1], event.clientY].sort((a, b) => a - b);
      const places = centres();
      stop();
      if (x1 - x0 < 4 && y1 - y0 < 4) {
        const distances = places.map(([x, y]) => Math.hypot(x - x0, y - y0));
        const nearest = distances.indexOf(Math.min(...distances));
        chosen = distances[nearest] < 24 ? [nearest] : [];
      } else {
        chosen = ordered.filter((i) => places[i][0] >= x0 && places[i][0] <= x1 && places[i][1] >= y0 && places[i][1] <= y1);
      }
      if (!chosen.length) return clear();
      at = Math.floor(chosen.length / 2);
      show(chosen[at]);
      tell();
    });
    tell();
  };
  for (const figure of all('figure[data-kind="episodes"]')) {
    const trace = all('figure[data-kind="trace"]').find((f) => f.dataset.reward === figure.dataset.reward && f.dataset.coverage === figure.dataset.coverage);
    if (trace) brush(figure, trace);
  }

  // Definitions.
  const tip = make("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "tooltip");
  tip.id = "tip";
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
  for (const term of all(".term[title], .none[title]")) {
    term.dataset.tip = term.title;
    term.removeAttribute("title");
    term.setAttribute("aria-describedby", "tip");
    if (term.localName !== "a") term.tabIndex = 0;
    term.addEventListener("mouseenter", () => show(term));
    term.addEventListener("focus", () => show(term));
    term.addEventListener("mouseleave", hide);
    term.addEventListener("blur", hide);
    // A tap shows the definition here; a second one goes to the list of all.
    term.addEventListener("click", (event) => {
      if (matchMedia("(hover: none)").matches && document.activeElement !== term) event.preventDefault();
    });
  }
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  document.addEventListener("scroll", hide, { passive: true, capture: true });

  const details = all("details");
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = details.filter((d) => !d.open);
    for (const d of closed) d.open = true;
  });
  window.addEventListener("afterprint", () => { for (const d of closed) d.open = false; });
})();
