"use strict";
// Everything here adds to a page that is whole without it: the plots and tables stand already.
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = JSON.parse(document.getElementById("data").textContent);
  let clock = data.clock;
  root.classList.add("js");

  // --- submissions: a click hides or shows one everywhere, a double or a Shift click leaves it
  // alone; the latter is a key's click, too
  const hidden = new Set();
  const buttons = all(".legend button");
  const show = () => {
    for (const button of buttons) button.setAttribute("aria-pressed", !hidden.has(button.dataset.s));
    for (const part of all("svg [data-s]")) part.toggleAttribute("hidden", hidden.has(part.dataset.s));
    for (const row of all("tbody tr[data-s]")) row.hidden = hidden.has(row.dataset.s);
    filter();
  };
  for (const button of buttons) {
    const own = button.dataset.s;
    button.disabled = false;
    button.title = "click: hide or show; double-click or Shift-click: show only this one, or all again";
    const single = () => {
      const others = buttons.filter((other) => other !== button).map((other) => other.dataset.s);
      const alone = !hidden.has(own) && others.every((other) => hidden.has(other));
      hidden.clear();
      if (!alone) for (const other of others) hidden.add(other);
      show();
    };
    button.addEventListener("click", (event) => {
      if (event.shiftKey) return single();
      if (!hidden.delete(own)) hidden.add(own);
      return show();
    });
    button.addEventListener("dblclick", single);
  }

  // --- the clock: the same evaluations at their readings of another clock
  const place = (range, value) => {
    const share = Math.min(5, Math.max(-4, (value - range[0]) / (range[1] - range[0] || 1)));
    return range[2] + share * (range[3] - range[2]);
  };
  const points = (plot, curve) => curve.y.map((value, at) =>
    value === null ? null : [place(plot.x[clock], curve[clock][at]), place(plot.y, value)]);
  const path = (corners) => {
    let text = "", joined = 0;
    for (const corner of [...corners, null]) {
      if (corner) text += `${joined ? "L" : "M"}${corner[0].toFixed(1)},${corner[1].toFixed(1)}`;
      else if (joined === 1) text += "h0"; // a dot
      joined = corner ? joined + 1 : 0;
    }
    return text;
  };
  const redraw = () => {
    for (const [id, plot] of Object.entries(data.plots)) {
      const svg = document.getElementById(id);
      plot.corners = plot.curves.map((curve) => points(plot, curve));
      for (const line of all(".line[data-i]", svg)) {
        line.setAttribute("d", path(plot.corners[line.dataset.i]));
      }
      for (const mark of all(".mark[data-i]", svg)) {
        const [x, y] = plot.corners[mark.dataset.i][plot.curves[mark.dataset.i].hit];
        mark.setAttribute("transform", `translate(${x.toFixed(1)},${y.toFixed(1)})`);
      }
      for (const axis of all("[data-clock]", svg)) {
        axis.toggleAttribute("hidden", axis.dataset.clock !== clock);
      }
    }
  };
  for (const input of all(".clocks input")) {
    input.checked = input.value === clock;
    input.addEventListener("change", () => {
      clock = input.value;
      redraw();
    });
  }

  // --- what lies nearest to the pointer
  const tip = document.getElementById("tip"), LINES = 16;
  const say = (event, title, lines) => {
    tip.replaceChildren();
    tip.append(Object.assign(document.createElement("strong"), { textContent: title }));
    for (const line of lines) tip.append(Object.assign(document.createElement("div"), { textContent: line }));
    tip.hidden = false;
    const room = root.clientWidth - tip.offsetWidth - 8;
    const above = event.clientY - tip.offsetHeight - 14;
    tip.style.left = `${Math.max(8, Math.min(room, event.clientX + 14)) + scrollX}px`;
    tip.style.top = `${(above < 8 ? event.clientY + 18 : above) + scrollY}px`;
  };
  const leave = (svg) => {
    tip.hidden = true;
    svg.classList.remove("hovering");
    for (const part of all(".hot", svg)) part.classList.remove("hot");
  };
  const pointer = (svg, event) => new DOMPoint(event.clientX, event.clientY)
    .matrixTransform(svg.getScreenCTM().inverse());
  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const fine = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
  const number = (value) => {
    if (value === null) return "–";
    const size = Math.abs(value);
    if (size >= 1e12 || (size < 1e-4 && size > 0)) return String(Number(value.toPrecision(4)));
    return (size >= 1000 ? whole : fine).format(value);
  };
  const light = (svg, parts) => {
    for (const part of all(".hot", svg)) part.classList.remove("hot");
    for (const part of parts) part.classList.add("hot");
    svg.classList.add("hovering");
  };

  // The squared distance of a point from the line between two corners, and whether it is nearer
  // to the second.
  const apart = (at, [x, y], [x1, y1]) => {
    const across = x1 - x, up = y1 - y;
    const along = ((at.x - x) * across + (at.y - y) * up) / (across ** 2 + up ** 2 || 1);
    const share = Math.min(1, Math.max(0, along));
    return [(x + share * across - at.x) ** 2 + (y + share * up - at.y) ** 2, share > 0.5];
  };
  const onCurves = (svg, event) => {
    const plot = data.plots[svg.id], at = pointer(svg, event);
    let best = null, near = 40 * 40;
    for (const line of all(".line[data-i]:not([hidden])", svg)) {
      const corners = plot.corners[line.dataset.i];
      corners.forEach((corner, step) => {
        if (!corner) return;
        const [far, later] = apart(at, corner, corners[step + 1] ?? corner);
        if (far < near) [near, best] = [far, { index: line.dataset.i, step: step + later }];
      });
    }
    if (!best) return leave(svg);
    const curve = plot.curves[best.index], step = best.step;
    light(svg, all(`[data-i="${best.index}"]`, svg));
    say(event, curve.label, [
      `${plot.metric} ${number(curve.y[step])}${step === curve.hit ? ": target met" : ""}`,
      data.clocks.map(([name, words]) => words.replace("{}", number(curve[name][step]))).join(", "),
    ]);
  };
  const onProfile = (svg, event) => {
    const at = pointer(svg, event), box = data.profile;
    const tau = box.x[0] + (at.x - box.x[2]) / (box.x[3] - box.x[2]) * (box.x[1] - box.x[0]);
    if (tau < box.x[0] || tau > box.x[1]) return leave(svg);
    const groups = all("g[data-i]:not([hidden])", svg), more = groups.length - LINES;
    const lines = groups.slice(0, LINES).map((group) => {
      const line = box.lines[group.dataset.i];
      const solved = line.corners.filter((corner) => corner[0] <= tau);
      return `${line.label}: ${Math.round(100 * solved[solved.length - 1][1])} %`;
    });
    return say(event, `τ = ${tau.toFixed(2)}`, more > 0 ? [...lines, `and ${more} more`] : lines);
  };
  for (const [kind, look] of [["curves", onCurves], ["profile", onProfile]]) {
    for (const svg of all(`svg[data-kind="${kind}"]`)) {
      let waiting = 0;
      const ask = (event) => {
        cancelAnimationFrame(waiting);
        waiting = requestAnimationFrame(() => look(svg, event));
      };
      svg.addEventListener("pointermove", ask);
      svg.addEventListener("pointerdown", ask);
      svg.addEventListener("pointerleave", () => {
        cancelAnimationFrame(waiting);
        leave(svg);
      });
    }
  }

  // --- tables: sorted by a click on a column's head; the trials narrowed by the menus
  const rows = [...document.querySelector(".trials tbody").rows];
  const filters = all(".filters select");
  const count = document.querySelector(".filters output");
  function filter() {
    let shown = 0;
    for (const row of rows) {
      const out = filters.some((menu) => menu.value && row.dataset[menu.name] !== menu.value);
      row.hidden = out || hidden.has(row.dataset.s);
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} trials`;
  }
  for (const menu of filters) menu.addEventListener("change", filter);
  const words = new Intl.Collator("en", { numeric: true });
  const value = (row, column) => row.cells[column].dataset.v ?? row.cells[column].textContent;
  const compare = (left, right) => {
    const [a, b] = [left, right].map((text) => text === "inf" ? Infinity : Number(text));
    if (left !== "nan" && right !== "nan" && !isNaN(a) && !isNaN(b)) return a === b ? 0 : a - b;
    return (left === "nan") - (right === "nan") || words.compare(left, right);
  };
  for (const table of all(".trials, .board")) {
    const heads = all("thead th", table), within = table.tBodies[0];
    for (const head of heads) {
      const button = document.createElement("button");
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sign = down ? -1 : 1, column = head.cellIndex;
        const keys = new Map([...within.rows].map((row) => [row, value(row, column)]));
        within.append(...[...within.rows].sort((a, b) => sign * compare(keys.get(a), keys.get(b))));
      });
    }
  }

  // --- two submissions compared: a click on the board chooses one, the last two count
  const versus = document.getElementById("versus");
  const picked = [];
  const percent = (share) => share > 0 && share < 0.005 ? "less than 1 %"
    : share > 0.995 && share < 1 ? "more than 99 %" : `${Math.round(100 * share)} %`;
  const signed = (x) => (x > 0 ? "+" : x < 0 ? "\u2212" : "") + Math.abs(x).toFixed(3);
  const told = (tag, text, into) =>
    into.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
  const unsure = (pair) => !data.versus.tells
    ? "This protocol does not test differences."
    : !pair ? `This page tests differences among the best ${data.versus.most} only; ` +
      "gradathlon compare tests any two."
      : pair[0] === null ? "They have no study in common, so the difference cannot be tested."
        : "The difference cannot be tested on one study, or on several that differ alike.";
  // Why there is no time of a cell to compare, "" where there is.
  const lack = ([time, ratio, ran]) =>
    time !== null || ratio !== null ? "" : ran ? "missed" : "not run";
  const tell = () => {
    versus.hidden = picked.length < 2;
    versus.replaceChildren();
    if (versus.hidden) return;
    const [a, b] = picked.map((series) => data.versus.entries[series]);
    const turned = Number(picked[0]) > Number(picked[1]);
    const pair = data.versus.pairs[turned ? `${picked[1]},${picked[0]}` : picked.join()];
    told("h3", `${a.name} against ${b.name}`, versus);
    told("p", `Scores ${a.score.toFixed(3)} and ${b.score.toFixed(3)}.`, versus);
    if (pair && pair[1] !== null) {
      const [mean, low, high] = turned ? [-pair[0], -pair[2], -pair[1]] : pair;
      const held = pair[5] ? ", clipped to the possible range" : "";
      told("p", `Difference over paired studies ${signed(mean)}, 95 % interval ${signed(low)} to ` +
        `${signed(high)}${held}, p = ${pair[3]} (for this pair alone).`, versus);
    } else told("p", unsure(pair), versus);
    if (pair && pair[4] !== null) {
      const chance = turned ? 1 - pair[4] : pair[4];
      told("p", `${a.name} scores higher in ${percent(chance)} of resampled studies.`, versus);
    }
    const list = versus.appendChild(document.createElement("ul"));
    data.versus.workloads.forEach((workload, place) => {
      const [[one, ratio], [other, against]] = [a.cells[place], b.cells[place]];
      const lacking = [a, b].filter(({ cells }) => lack(cells[place]))
        .map(({ name, cells }) => `${lack(cells[place])} by ${name}`);
      const timed = one === null || other === null ? ""
        : `${number(one)} against ${number(other)} ${data.versus.unit}`;
      // Of what each makes to its own reference: machines and frameworks differ.
      const ratios = ratio === null || against === null ? ""
        : `×${ratio.toFixed(2)} against ×${against.toFixed(2)}`;
      const times = timed && ratios ? `${timed} (${ratios})` : timed || ratios;
      told("li", `${workload}: ${lacking.join(", ") || times}`, list);
    });
  };
  for (const button of all(".pick")) {
    button.disabled = false;
    const row = button.closest("tr");
    button.addEventListener("click", () => {
      const at = picked.indexOf(row.dataset.s);
      if (at >= 0) picked.splice(at, 1);
      else if (picked.push(row.dataset.s) > 2) picked.shift();
      for (const other of all(".pick")) {
        other.setAttribute("aria-pressed", picked.includes(other.closest("tr").dataset.s));
      }
      tell();
    });
  }

  // --- a plot as a file of its own, in its light form, with every style written into it
  const KEPT = ["color", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray",
    "stroke-opacity", "stroke-linejoin", "opacity", "font-family", "font-size", "font-weight",
    "text-anchor", "paint-order"];
  const saved = (svg) => {
    const copy = svg.cloneNode(true);
    root.classList.add("light");
    const from = [svg, ...all("*", svg)], to = [copy, ...all("*", copy)];
    from.forEach((part, at) => {
      const style = getComputedStyle(part);
      for (const name of KEPT) to[at].setAttribute(name, style.getPropertyValue(name));
    });
    root.classList.remove("light");
    for (const part of all("[hidden]", copy)) part.remove();
    const [, , width, height] = svg.getAttribute("viewBox").split(" ");
    copy.setAttribute("width", width);
    copy.setAttribute("height", height);
    return new XMLSerializer().serializeToString(copy);
  };
  for (const button of all(".save")) {
    button.addEventListener("click", () => {
      const svg = document.getElementById(button.dataset.plot);
      const url = URL.createObjectURL(new Blob([saved(svg)], { type: "image/svg+xml" }));
      Object.assign(document.createElement("a"), { href: url, download: button.dataset.file }).click();
      setTimeout(() => URL.revokeObjectURL(url), 1000);
    });
  }

  redraw();
  filter();
})();
