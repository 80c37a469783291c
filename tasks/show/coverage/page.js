"use strict";
// Shows the part of the coverage that the address names after "#": dataset/season, or dataset/season/span. A span is a
// date such as 2024-01-05, a month such as 2024-01, or "whole" for the files of the whole season.
// All numbers, colours and sentences come from the data; nothing is counted here. Texts become text nodes, never HTML.
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

  const spanText = (season, span) => typeof span === "number"
    ? new Date(Date.UTC(Number(season.slice(0, 4)), 0, 1 + span)).toISOString().slice(0, 10) : span;
  const address = (...parts) => "#" + parts.map(encodeURIComponent).join("/");

  const cell = (tally, dataset, season, span, label) => {
    const [number, shade, sentence] = data.tallies[tally];
    const link = make("a", { href: address(dataset, season, span), title: `${label}: ${sentence}` }, number);
    return make("td", { class: shade }, link);
  };

  // A table with a row per month and a column per day.
  function calendar(dataset, season, { summary, spans }) {
    const months = new Map();
    for (const [span, tally] of spans) {
      const text = spanText(season, span), month = text.slice(0, 7);
      if (!months.has(month)) months.set(month, { days: new Map(), all: 0 });
      if (text.length === 10) months.get(month).days.set(Number(text.slice(8)), tally);
      else months.get(month).all = tally;
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
    const table = make("table", { id: "calendar", "aria-labelledby": "season" }, make("thead", {}, head), body);
    return [make("p", {}, `${summary}.`), make("div", { class: "scroll" }, table)];
  }

  const within = (text, chosen) => !chosen || (chosen === "whole" ? text === "" : text.startsWith(chosen));

  function holeTable(dataset, season, { all, spans }, chosen) {
    const span = chosen === "whole" ? "" : chosen;
    const tally = chosen ? spans.find(([one]) => spanText(season, one) === span) : [season, all];
    const [, , sentence, found] = tally ? data.tallies[tally[1]] : ["", "", "no files expected", 0];
    const heading = chosen === "whole" ? "files of the whole season" : chosen || `all of ${season}`;
    const parts = [make("h3", {}, heading), make("p", {}, `${sentence}.`)];
    const holes = (own(own(data.holes, dataset) || {}, season) || [])
      .filter(([one]) => within(spanText(season, one), chosen));
    const names = ["date", "key", "state", "reason", "when"];
    const body = make("tbody", { role: "rowgroup" });
    const show = (from, to) => holes.slice(from, to).forEach(([one, state, reason, time, key]) => {
      const texts = [spanText(season, one) || season, key, data.states[state], data.reasons[reason], data.times[time]];
      const cells = texts.map((text, n) => make("td", { role: "cell", class: names[n], "data-name": names[n] }, text));
      body.append(make("tr", { role: "row" }, ...cells));
    });
    show(0, FIRST_HOLES);
    if (holes.length) {
      const heads = names.map((name) => make("th", { scope: "col" }, name));
      const table = make("table", { class: "holes", role: "table" }, make("thead", {}, make("tr", {}, ...heads)), body);
      parts.push(make("div", { class: "scroll" }, table));
    }
    if (holes.length > FIRST_HOLES) {
      const more = make("button", { type: "button" }, `Show the other ${holes.length - FIRST_HOLES}`);
      more.addEventListener("click", () => { show(FIRST_HOLES); more.remove(); });
      parts.push(more);
    }
    if (found > holes.length) {
      const day = chosen && chosen.length === 10 ? ` --since ${chosen} --until ${chosen}` : ` --season ${season}`;
      parts.push(make("p", { class: "note" }, `${plural(found - holes.length, "more file")} left out of this page: `,
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
    const counted = own(own(data.seasons, dataset) || {}, season);
    detail.replaceChildren();
    if (!counted) return;
    const heading = make("h2", { id: "season", tabindex: "-1" }, `${dataset} ${season}`);
    detail.append(heading, ...calendar(dataset, season, counted), ...holeTable(dataset, season, counted, chosen));
    const marks = [address(dataset, season), address(dataset, season, chosen || "")];
    for (const link of document.querySelectorAll("td a"))
      if (marks.includes(link.getAttribute("href"))) link.setAttribute("aria-current", "true");
    const mark = chosen && detail.querySelector("a[aria-current]");
    if (focus) (mark || heading).focus({ preventScroll: true });
    if (mark) mark.scrollIntoView({ block: "nearest", inline: "center" });
    else if (focus) heading.scrollIntoView({ block: "nearest" });
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

  // Shows the right end of a table, which has the newest seasons. If the window becomes wider or narrower, what is at
  // the right edge of the box stays there.
  function keepRightEdge(box) {
    let beyond = 0;
    const end = () => box.scrollWidth - box.clientWidth;
    box.addEventListener("scroll", () => { beyond = end() - box.scrollLeft; });
    new ResizeObserver(() => { box.scrollLeft = end() - beyond; }).observe(box);
    box.scrollLeft = end();
  }

  document.addEventListener("keydown", step);
  document.addEventListener("focusin", rove);
  document.querySelectorAll("#overview td a").forEach((link, n) => { link.tabIndex = n ? -1 : 0; });
  keepRightEdge(document.getElementById("overview").parentElement);
  addEventListener("hashchange", () => show(true));
  show(false);
})();
