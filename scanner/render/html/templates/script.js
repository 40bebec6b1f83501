"use strict";
(() => {
  const $ = (selector, from = document) => [...from.querySelectorAll(selector)];
  const root = document.documentElement;

  // ---- dark and light ----
  const button = document.getElementById("theme");
  const remembered = () => { try { return localStorage.getItem("datascan-theme"); } catch { return null; } };
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => { button.textContent = dark() ? "Light theme" : "Dark theme"; };
  if (["light", "dark"].includes(remembered())) root.dataset.theme = remembered();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("datascan-theme", root.dataset.theme); } catch { /* a file may have no storage */ }
    name();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();

  // ---- filter ----
  const tools = document.getElementById("tools");
  if (tools) {
    const words = document.getElementById("words"), rule = document.getElementById("rule");
    const said = document.getElementById("said");
    const groups = $("[data-rule]").map((group) => ({
      group, rule: group.dataset.rule, severity: group.dataset.severity,
      rows: $("tbody tr", group).map((row) => ({ row, text: row.textContent.toLowerCase() })),
      shots: $(".gallery > li", group).map((row) => ({ row, text: row.textContent.toLowerCase() })),
    }));
    const apply = () => {
      const wanted = words.value.trim().toLowerCase();
      const levels = new Set($("input[name=severity]:checked", tools).map((box) => box.value));
      let shown = 0, all = 0;
      for (const one of groups) {
        const here = levels.has(one.severity) && (!rule.value || rule.value === one.rule);
        let left = 0;
        for (const { row, text } of one.rows) {
          const hit = here && (!wanted || text.includes(wanted) || one.rule.includes(wanted));
          row.hidden = !hit;
          left += hit;
        }
        for (const { row, text } of one.shots) row.hidden = !(!wanted || text.includes(wanted) || one.rule.includes(wanted));
        one.group.hidden = one.rows.length ? !left : !here || (wanted && !one.rule.includes(wanted));
        shown += left;
        all += one.rows.length;
      }
      said.textContent = `${shown.toLocaleString("en")} of ${all.toLocaleString("en")} listed findings shown`;
    };
    tools.hidden = false;
    tools.addEventListener("input", apply);
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.addEventListener("reset", () => setTimeout(apply));
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
      event.preventDefault();
      words.focus();
    });
    apply();
  }

  // ---- sort ----
  const order = new Intl.Collator("en", { numeric: true });
  for (const table of $("table[data-sortable]")) {
    const heads = $("thead th", table), body = table.tBodies[0];
    heads.forEach((head, column) => {
      const knob = document.createElement("button");
      knob.type = "button";
      knob.append(...head.childNodes);
      head.append(knob);
      knob.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].textContent.trim();
        const rows = [...body.rows].map((row) => [value(row), row]);
        rows.sort((one, two) => (down ? order.compare(two[0], one[0]) : order.compare(one[0], two[0])));
        body.append(...rows.map((entry) => entry[1]));
      });
    });
  }
})();
