
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const by = (id) => document.getElementById(id);
  const make = (tag, text, attributes = {}) => {
    const element = document.createElement(tag);
    if (text !== "") element.textContent = text;
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

  // --- findings: filters, and their state in the address -----------------------------------

  const findings = [...document.querySelectorAll(".finding")];
  const groups = [...document.querySelectorAll(".group")];
  const form = by("filters");
  const fields = ["severity", "rule", "action", "path", "q"];

  for (const field of ["severity", "rule"]) {
    const seen = new Map();
    for (const finding of findings) {
      const value = finding.dataset[field];
      seen.set(value, (seen.get(value) ?? 0) + 1);
    }
    const values = field === "rule" ? [...seen.keys()].sort() : [...seen.keys()];
    for (const value of values) {
      form.elements[field].append(make("option", `${value} (${seen.get(value)})`, { value }));
    }
  }

  const texts = new Map();
  const text = (finding) => {
    if (!texts.has(finding)) texts.set(finding, finding.textContent.toLowerCase());
    return texts.get(finding);
  };

  function filter() {
    const wanted = Object.fromEntries(
      fields.map((field) => [field, form.elements[field].value.trim()]));
    const action = wanted.action.toLowerCase();
    const path = wanted.path.toLowerCase();
    const words = wanted.q.toLowerCase().split(/\s+/).filter(Boolean);
    const given = Object.entries(wanted).filter(([, value]) => value);
    let shown = 0;
    for (const finding of findings) {
      const { severity, rule } = finding.dataset;
      const fits = (!wanted.severity || severity === wanted.severity)
        && (!wanted.rule || rule === wanted.rule)
        && (!action || finding.dataset.action.toLowerCase().includes(action))
        && (!path || finding.dataset.path.toLowerCase().includes(path))
        && words.every((word) => text(finding).includes(word));
      finding.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    for (const group of groups) {
      const left = group.querySelectorAll(".finding:not([hidden])").length;
      group.hidden = left === 0;
      // What was asked for should be seen.
      if (given.length) group.open = left <= 20;
      group.querySelector(".left").textContent =
        left === Number(group.dataset.size) ? "" : `, ${left} of them shown`;
    }
    by("shown").textContent = findings.length === 0 ? ""
      : `${shown.toLocaleString("en")} of ${count(findings.length, "finding")} shown`;
    return given;
  }

  /// Reads the address: `#rule=R001&q=x` filters, `#R001-1a2b3c4d` opens a finding.
  function follow() {
    let hash = location.hash.slice(1);
    if (hash.includes("=")) {
      const wanted = new URLSearchParams(hash);
      for (const field of fields) form.elements[field].value = wanted.get(field) ?? "";
      filter();
      return;
    }
    try {
      hash = decodeURIComponent(hash);
    } catch {
      return;
    }
    const target = hash && document.getElementById(hash);
    if (target && target.classList.contains("finding")) {
      form.reset();
      filter();
      for (let outer = target; outer; outer = outer.parentElement.closest("details")) outer.open = true;
      target.scrollIntoView();
      target.querySelector("summary").focus({ preventScroll: true });
    }
  }

  function filtered() {
    const hash = new URLSearchParams(filter()).toString();
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }

  form.hidden = findings.length === 0;
  form.addEventListener("input", filtered);
  form.addEventListener("reset", () => setTimeout(filtered));
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);

  // --- keys ----------------------------------------------------------------------------------

  document.querySelector(".keys").hidden = findings.length === 0;
  addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && (typing || location.hash.includes("="))) {
      form.reset();
      event.target.blur();
    } else if (!typing && event.key === "/") {
      event.preventDefault();
      form.elements.q.focus();
    } else if (!typing && (event.key === "j" || event.key === "k")) {
      const all = [...document.querySelectorAll("#list summary")]
        .filter((summary) => summary.checkVisibility());
      const at = all.indexOf(document.activeElement);
      const next = event.key === "j" ? at + 1 : (at < 0 ? all.length : at) - 1;
      if (all[next]) all[next].focus();
    }
  });

  // --- the actions around a finding ------------------------------------------------------------

  const SPACE = "http://www.w3.org/2000/svg";
  const draw = (tag, attributes, content) => {
    const element = document.createElementNS(SPACE, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (content !== undefined) element.textContent = content;
    return element;
  };
  const WIDTH = 260, HEIGHT = 30, GAP = 10, COLUMN = 350, LETTERS = 33;
  const cut = (name) => {
    const letters = [...name];
    if (letters.length <= LETTERS) return name;
    const half = Math.floor(LETTERS / 2);
    return letters.slice(0, half).join("") + "…" + letters.slice(-half).join("");
  };

  /// Three columns: what comes before, the action, what comes after; and the file in red.
  function graph(finding) {
    const [self, before, moreBefore, after, moreAfter, file, writes, producer] = finding;
    const name = (id) => data.names[id];
    const left = before.map((id) => [name(id), "", "before"]);
    if (moreBefore) left.push([`${moreBefore.toLocaleString("en")} more`, "dim", "before"]);
    if (file) left.push([file, "bad", "file"]);
    const right = after.map((id) => [name(id), "", "after"]);
    if (moreAfter) right.push([`${moreAfter.toLocaleString("en")} more`, "dim", "after"]);
    const column = (length) => length * HEIGHT + Math.max(0, length - 1) * GAP;
    // A producer of the file stands above the action, at the top of the middle column.
    const middle = producer === null ? 0 : 2;
    const height = Math.max(column(left.length), column(right.length), column(middle + 1)) + 26;
    const svg = draw("svg", {
      viewBox: `0 0 ${COLUMN * 2 + WIDTH} ${height}`, width: COLUMN * 2 + WIDTH, height, role: "img",
    });
    svg.append(draw("title", {}, `What stands before and after ${name(self)}`));
    for (const [at, title] of ["depends on", "", "used by"].entries()) {
      if (title && (at === 0 ? left : right).length) {
        svg.append(draw("text", { x: at * COLUMN, y: 14, class: "dim" }, title));
      }
    }
    const box = (x, y, label, kind) => {
      const group = draw("g", {});
      group.append(draw("title", {}, label));
      if (kind !== "dim") group.append(draw("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 5, class: kind }));
      group.append(draw("text", { x: x + 9, y: y + 20, class: kind === "dim" ? "dim" : "" }, cut(label)));
      svg.append(group);
    };
    const arrow = (x1, y1, x2, y2, kind) => {
      const bend = (x2 - x1) / 2;
      svg.append(draw("path", { d: `M${x1},${y1} C${x1 + bend},${y1} ${x2 - bend},${y2} ${x2},${y2}`, class: kind }));
      const back = x2 > x1 ? -7 : 7;
      svg.append(draw("path", { d: `M${x2},${y2} l${back},-4 v8 z`, class: `head ${kind}` }));
    };
    const y = (at) => 24 + at * (HEIGHT + GAP);
    const centre = y(middle) + HEIGHT / 2;
    for (const [at, [label, kind, role]] of left.entries()) {
      box(0, y(at), label, kind);
      const height = y(at) + HEIGHT / 2;
      if (role === "file" && writes) arrow(COLUMN, centre, WIDTH, height, "bad");
      else if (kind !== "dim") arrow(WIDTH, height, COLUMN, centre, kind);
      if (role === "file" && producer !== null) {
        svg.append(draw("text", { x: COLUMN, y: 14, class: "dim" }, "makes it"));
        box(COLUMN, y(0), name(producer), "");
        arrow(COLUMN, y(0) + HEIGHT / 2, WIDTH, height, "bad");
      }
    }
    box(COLUMN, centre - HEIGHT / 2, name(self), "self");
    for (const [at, [label, kind]] of right.entries()) {
      box(COLUMN * 2, y(at), label, kind);
      if (kind !== "dim") arrow(COLUMN + WIDTH, centre, COLUMN * 2, y(at) + HEIGHT / 2, "");
    }
    return svg;
  }

  for (const finding of findings) {
    finding.addEventListener("toggle", () => {
      const place = finding.querySelector(".graph");
      const around = data.findings[finding.dataset.at];
      if (!finding.open || !place || place.firstChild || !around) return;
      place.append(graph(around));
    });
  }

  // --- actions -----------------------------------------------------------------------------------

  const FIRST = 25, PAGE = 200;
  const actions = by("actions-body");
  if (actions) {
    const tools = by("actions-tools");
    const input = tools.querySelector("input");
    const only = tools.querySelector("select");
    const more = by("actions-more");
    let wanted = [], shown = 0;
    const page = () => {
      const end = Math.min(shown + (shown ? PAGE : FIRST), wanted.length);
      for (const [name, place, processes, found, why] of wanted.slice(shown, end)) {
        const row = make("tr", "");
        row.append(make("td", name, { class: "mono" }), make("td", place, { class: "mono" }),
          make("td", String(processes), { class: "number" }), make("td", "", { class: "number" }),
          make("td", why));
        if (found) {
          const hash = new URLSearchParams({ action: name }).toString();
          row.children[3].append(make("a", String(found), { href: `#${hash}` }));
        } else row.children[3].textContent = "0";
        actions.append(row);
      }
      shown = end;
      by("actions-shown").textContent =
        `${shown.toLocaleString("en")} of ${count(data.actions.length, "action")} shown`
        + (wanted.length < data.actions.length ? `, ${wanted.length.toLocaleString("en")} fit` : "");
      more.hidden = shown >= wanted.length;
    };
    const start = () => {
      const text = input.value.trim().toLowerCase();
      wanted = data.actions.filter(([name, place, , found, why]) =>
        (!text || name.toLowerCase().includes(text) || place.toLowerCase().includes(text))
        && (only.value === "" || (only.value === "found" ? found > 0 : why !== "")));
      shown = 0;
      actions.replaceChildren();
      page();
    };
    tools.hidden = false;
    tools.addEventListener("input", start);
    more.addEventListener("click", page);
    start();
  }

  // --- processes ---------------------------------------------------------------------------------

  const tree = by("tree");
  if (tree) {
    const children = new Map();
    const below = new Array(data.processes.length).fill(0);
    data.processes.forEach(([parent], at) => {
      if (!children.has(parent)) children.set(parent, []);
      children.get(parent).push(at);
    });
    // A parent is born before its children.
    for (let at = data.processes.length - 1; at >= 0; at--) {
      const [parent, , , , found] = data.processes[at];
      below[at] += found;
      if (parent >= 0) below[parent] += below[at];
    }
    const list = (of, from = 0) => {
      const items = document.createDocumentFragment();
      const all = children.get(of) ?? [];
      for (const at of all.slice(from, from + PAGE)) items.append(node(at));
      if (all.length > from + PAGE) {
        const item = make("li", "");
        const button = make("button", `${(all.length - from - PAGE).toLocaleString("en")} more`, { type: "button" });
        button.addEventListener("click", () => item.replaceWith(list(of, from + PAGE)));
        item.append(button);
        items.append(item);
      }
      return items;
    };
    const node = (at) => {
      const [, label, owner, end, found] = data.processes[at];
      const item = make("li", "");
      const kids = children.get(at);
      if (kids) {
        const button = make("button", "+", { type: "button", "aria-expanded": "false", "aria-label": `Children of ${label}` });
        button.addEventListener("click", () => {
          const open = item.querySelector(":scope > ul");
          if (open) open.remove();
          else {
            const inner = make("ul", "");
            inner.append(list(at));
            item.append(inner);
          }
          button.textContent = open ? "+" : "−";
          button.setAttribute("aria-expanded", String(!open));
        });
        item.append(button);
      } else item.append(make("button", "·", { type: "button", disabled: "" , "aria-hidden": "true" }));
      item.append(make("code", label));
      if (end) item.append(" ", make("span", end, { class: "tag" }));
      if (found) item.append(" ", make("span", count(found, "finding"), { class: "tag proven" }));
      else if (below[at]) item.append(" ", make("span", `${count(below[at], "finding")} below`, { class: "tag" }));
      if (owner !== null) item.append(" ", make("span", data.names[owner], { class: "who" }));
      return item;
    };
    tree.append(list(-1));
    // The first levels, as far as they stay small.
    for (let level = 0; level < 3; level++) {
      const closed = tree.querySelectorAll('button[aria-expanded="false"]');
      if (closed.length > 20) break;
      for (const button of closed) button.click();
    }
    by("processes").hidden = false;
  }

  // --- paper ---------------------------------------------------------------------------------------

  addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("#list details")) part.open = true;
  });

  filter();
  follow();
})();
