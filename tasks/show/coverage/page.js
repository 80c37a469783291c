"use strict";
// Shows the part of the coverage that the address names after "#": dataset/season, or dataset/season/span. A span is a
// date such as 2024-01-05, a month such as 2024-01, or "whole" for the files of the whole season.
// Texts from the data become text nodes only, never HTML.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const detail = document.getElementById("detail");
  const MONTHS = "January February March April May June July August September October November December".split(" ");
  const FIRST_HOLES = 200;

  const make = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;
  const own = (object, key) => (Object.hasOwn(object, key) ? object[key] : undefined);

  const PRESENT = 0, UNAVAILABLE = 4, UNKNOWN = 6; // places of these counts; UNKNOWN counts schedules that are not known
  const add = (sum, counts) => counts.forEach((n, i) => { sum[i] += n; });
  const none = () => [0, 0, 0, 0, 0, 0, 0];
  const lacking = (c) => c[1] + c[2] + c[3];
  const wanted = (c) => c[PRESENT] + lacking(c);
  const tenths = (c) => Math.min(Math.floor(c[PRESENT] * 1000 / wanted(c)), c[UNKNOWN] ? 999 : 1000);
  const number = (c) => tenths(c) === 1000 ? "100" : (tenths(c) / 10).toFixed(1);
  const percent = (c) => (wanted(c) ? number(c) : c[UNKNOWN] ? "" : "-") + (c[UNKNOWN] ? "?" : "");
  const shade = (c) => c[UNKNOWN] ? data.unknown : wanted(c) ? data.shades.find(([least]) => tenths(c) >= least * 10)[1] : data.none;
  const sentence = (c) => {
    const others = data.states.map((state, i) => [c[i], state.replace("_", " ")]).slice(1).filter(([n]) => n);
    const counted = others.map(([n, state]) => `${n.toLocaleString("en")} ${state}`);
    if (c[UNKNOWN]) counted.push(`unknown what ${plural(c[UNKNOWN], "schedule")} would list`);
    return `${c[PRESENT].toLocaleString("en")} of ${wanted(c).toLocaleString("en")} files present`
      + (counted.length ? `; ${counted.join(", ")}` : "");
  };

  const spanText = (season, span) => typeof span === "number"
    ? new Date(Date.UTC(Number(season.slice(0, 4)), 0, 1 + span)).toISOString().slice(0, 10) : span;
  const address = (...parts) => "#" + parts.map(encodeURIComponent).join("/");

  const cell = (counts, dataset, season, span, label) => {
    const link = make("a", { href: address(dataset, season, span), title: `${label}: ${sentence(counts)}` },
      percent(counts));
    return make("td", { class: shade(counts) }, link);
  };

  // A table with a row per month and a column per day.
  function calendar(dataset, season, rows) {
    const months = new Map(), total = none();
    for (const [span, ...counts] of rows) {
      const text = spanText(season, span), month = text.slice(0, 7);
      if (!months.has(month)) months.set(month, { days: new Map(), whole: none(), all: none() });
      const of = months.get(month);
      if (text.length === 10) of.days.set(Number(text.slice(8)), counts.concat(none()).slice(0, UNKNOWN + 1));
      else add(of.whole, counts);
      add(of.all, counts);
      add(total, counts);
    }
    const byDay = [...months.values()].some((of) => of.days.size);
    const head = make("tr", {}, make("td"));
    for (let day = 1; byDay && day <= 31; day++) head.append(make("th", { scope: "col" }, String(day)));
    head.append(make("th", { scope: "col" }, "all"));
    const body = make("tbody");
    for (const [month, of] of [...months].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = month ? `${MONTHS[Number(month.slice(5)) - 1]} ${month.slice(0, 4)}` : "whole season";
      const row = make("tr", {}, make("th", { scope: "row" }, name));
      for (let day = 1; byDay && day <= 31; day++) {
        const date = `${month}-${String(day).padStart(2, "0")}`;
        row.append(of.days.has(day) ? cell(of.days.get(day), dataset, season, date, date) : make("td"));
      }
      row.append(cell(of.all, dataset, season, month || "whole", name));
      body.append(row);
    }
    const table = make("table", { id: "calendar" },
      make("caption", {}, byDay ? "Percent of the files, by date" : "Percent of the files"), make("thead", {}, head), body);
    const share = wanted(total) ? `${number(total)} %${total[UNKNOWN] ? " of what is known" : ""}: ` : "";
    return [make("p", {}, `${share}${sentence(total)}.`), make("div", { class: "scroll" }, table)];
  }

  const within = (text, chosen) => !chosen || (chosen === "whole" ? text === "" : text.startsWith(chosen));

  function holeTable(dataset, season, rows, chosen) {
    const holes = (own(own(data.holes, dataset) || {}, season) || [])
      .filter(([span]) => within(spanText(season, span), chosen));
    const counts = none();
    rows.filter(([span]) => within(spanText(season, span), chosen)).forEach(([, ...c]) => add(counts, c));
    const due = lacking(counts) + counts[UNAVAILABLE];
    const where = chosen === "whole" ? "files of the whole season" : chosen || `all of ${season}`;
    const parts = [make("h3", {}, `${where}: ${due ? plural(due, "file") + " due and not there"
      : counts[UNKNOWN] ? "unknown" : "nothing is missing"}`)];
    if (!due) return [...parts, make("p", {}, sentence(counts) + ".")];
    const body = make("tbody");
    const show = (from, to) => holes.slice(from, to).forEach(([span, state, reason, until, key]) => {
      const cells = [spanText(season, span) || season, key, data.states[state].replace("_", " "), data.reasons[reason],
        data.times[until]];
      body.append(make("tr", {}, ...cells.map((text) => make("td", {}, text))));
    });
    show(0, FIRST_HOLES);
    if (holes.length) {
      const head = ["date", "key", "state", "reason", "until"].map((name) => make("th", { scope: "col" }, name));
      const table = make("table", { class: "holes" }, make("thead", {}, make("tr", {}, ...head)), body);
      parts.push(make("div", { class: "scroll" }, table));
    }
    if (holes.length > FIRST_HOLES) {
      const more = make("button", { type: "button" }, `Show the other ${holes.length - FIRST_HOLES}`);
      more.addEventListener("click", () => { show(FIRST_HOLES); more.remove(); });
      parts.push(more);
    }
    if (due > holes.length) {
      const day = chosen && chosen.length === 10 ? ` --since ${chosen} --until ${chosen}` : ` --season ${season}`;
      parts.push(make("p", { class: "note" }, `${plural(due - holes.length, "more file")} left out of this page: `,
        make("code", {}, `adce plan --json --dataset ${dataset}${day}`), " lists what is to be fetched, ",
        make("code", {}, "adce why KEY"), " explains any file."));
    }
    return parts;
  }

  function show(focus) {
    document.querySelectorAll("a[aria-current]").forEach((link) => link.removeAttribute("aria-current"));
    let parts = [];
    try { parts = location.hash.slice(1).split("/").map(decodeURIComponent); } catch { /* not an address of this page */ }
    const [dataset, season, chosen] = parts;
    const rows = own(own(data.cells, dataset) || {}, season);
    detail.replaceChildren();
    if (!rows) return;
    const heading = make("h2", { tabindex: "-1" }, `${dataset} ${season}`);
    detail.append(heading, ...calendar(dataset, season, rows), ...holeTable(dataset, season, rows, chosen));
    const marks = [address(dataset, season), address(dataset, season, chosen || "")];
    for (const link of document.querySelectorAll("td a"))
      if (marks.includes(link.getAttribute("href"))) link.setAttribute("aria-current", "true");
    if (!focus) return;
    const mark = chosen && detail.querySelector("a[aria-current]");
    (mark || heading).focus({ preventScroll: Boolean(mark) });
    if (!mark) heading.scrollIntoView({ block: "nearest" });
  }

  // In a table of links, Tab reaches one link, and the arrow keys move to the others (a roving tabindex).
  function step(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[event.key], from = event.target.closest("td");
    if (!move || !from || event.altKey || event.ctrlKey || event.metaKey) return;
    let row = from.parentElement.rowIndex, column = from.cellIndex;
    const table = from.closest("table");
    for (;;) {
      row += move[0];
      column += move[1];
      const next = table.rows[row] && table.rows[row].cells[column];
      if (!next) return;
      const link = next.querySelector("a");
      if (link) {
        event.preventDefault();
        link.focus();
        return;
      }
    }
  }

  function rove(event) {
    const table = event.target.closest("table");
    if (!table || event.target.tagName !== "A") return;
    for (const link of table.querySelectorAll("td a")) link.tabIndex = link === event.target ? 0 : -1;
  }

  document.addEventListener("keydown", step);
  document.addEventListener("focusin", rove);
  document.querySelectorAll("#overview td a").forEach((link, n) => { link.tabIndex = n ? -1 : 0; });
  for (const box of document.querySelectorAll(".scroll")) box.scrollLeft = box.scrollWidth; // shows the newest seasons
  addEventListener("hashchange", () => show(true));
  show(false);
})();
