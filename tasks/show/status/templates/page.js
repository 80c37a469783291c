"use strict";
// Keeps an open page up to date: asks for each section with the ETag of what is shown, and greys what is old. Every
// time is compared with the service's clock, from the header Date, so that a wrong clock of this machine does not matter.
(() => {
  const sections = [...document.querySelectorAll("section[data-fragment]")];
  const every = 1000 * Number(document.body.dataset.every), staleAfter = 1000 * Number(document.body.dataset.staleAfter);
  const live = document.getElementById("live"), read = document.getElementById("read");
  const answersWithin = Math.max(staleAfter, 10000); // ms, after which the service counts as away
  let ahead = null; // the service's clock less performance.now()
  let readAt = read && Date.parse(read.querySelector("time").dateTime); // when the ledger was last read
  let trouble = "";
  let timer = 0, isAsking = false;

  const now = () => ahead + performance.now();
  const utc = (at) => new Date(at).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const span = (ms) => {
    const minutes = Math.max(0, ms) / 60000;
    if (minutes < 1) return "under a minute";
    if (minutes < 100) return `${Math.floor(minutes)} min`;
    return minutes < 4320 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} days`;
  };

  // Says beside each time how long ago it is, or in how long it comes.
  function tellAges() {
    for (const time of document.querySelectorAll("main time:not(.set)")) {
      const age = now() - Date.parse(time.dateTime);
      const text = age < 0 ? `in ${span(-age)}` : `${span(age)} ago`;
      let note = time.nextElementSibling;
      if (!note || note.className !== "ago") {
        note = document.createElement("span");
        note.className = "ago";
        time.after(note);
      }
      if (note.textContent !== ` (${text})`) note.textContent = ` (${text})`;
    }
  }

  const say = (text) => {
    if (live.textContent !== text) live.textContent = text;
    live.hidden = !text;
  };

  // Greys everything if the ledger was not read lately, and else the sections of a look that is old.
  function grey() {
    const isOld = now() - readAt > staleAfter;
    const age = `all of this is as of ${utc(readAt)}, ${span(now() - readAt)} old.`;
    const known = trouble && `${trouble}. What is shown is the last that is known.`;
    say(isOld ? `${trouble || "The ledger is not read"}: ${age}` : known);
    for (const section of sections) {
      const note = section.querySelector(".old");
      const isLookOld = note !== null && now() - Date.parse(note.dataset.asOf) > 1000 * note.dataset.staleAfter;
      if (note) note.hidden = !isLookOld;
      section.classList.toggle("stale", isOld || isLookOld);
    }
    const mark = (id) => document.querySelector(`#${id} .mark`).textContent;
    const isInDoubt = trouble || document.querySelector(".stale");
    document.title = `${isInDoubt ? "? " : mark("wrong") === "!" ? "! " : ""}${mark("whole")} · ADCE`;
  }

  // Puts news in the place of what a section shows, and leaves focus, open parts and scrolled tables as they are.
  function show(section, html) {
    const part = section.querySelector(".part"), focused = part.contains(document.activeElement) && document.activeElement;
    const isOpen = [...part.querySelectorAll("details")].map((one) => one.open);
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => one.scrollLeft);
    const place = focused && [...part.querySelectorAll("a, summary, .scroll")].indexOf(focused);
    part.innerHTML = html;
    part.querySelectorAll("details").forEach((one, n) => { one.open = isOpen[n] || false; });
    part.querySelectorAll(".scroll").forEach((one, n) => { one.scrollLeft = scrolled[n] || 0; });
    const again = focused && part.querySelectorAll("a, summary, .scroll")[place];
    if (again) again.focus({ preventScroll: true });
  }

  async function ask(section) {
    const headers = { "If-None-Match": section.dataset.etag };
    const signal = AbortSignal.timeout(answersWithin);
    const answer = await fetch(section.dataset.fragment, { headers, signal, cache: "no-store", redirect: "error" });
    ahead = Date.parse(answer.headers.get("Date")) - performance.now();
    if (answer.status === 200) {
      show(section, await answer.text());
      section.dataset.etag = answer.headers.get("ETag");
    } else if (answer.status !== 304) {
      throw new Error(`The service answers HTTP ${answer.status}`);
    }
    readAt = Date.parse(answer.headers.get("Last-Modified"));
    const away = answer.headers.get("ADCE-Away");
    trouble = away ? `No answer from: ${away}` : "";
    read.replaceChildren(utc(readAt));
  }

  // Asks for all sections, and then greys what is old even so. A page that nobody sees is left as it is.
  async function refresh() {
    if (isAsking) return;
    clearTimeout(timer);
    isAsking = true;
    try {
      if (!document.hidden || ahead === null) await askForAll();
    } finally {
      isAsking = false;
      timer = setTimeout(refresh, every);
    }
  }

  async function askForAll() {
    try {
      for (const section of sections) await ask(section);
    } catch (error) {
      const isAway = error instanceof TypeError || error.name === "TimeoutError";
      trouble = isAway ? "The service does not answer" : error.message;
    }
    if (ahead === null) return;
    tellAges();
    grey();
  }

  // In a heatmap, Tab reaches one link, and the arrow keys move to the others.
  function step(event) {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    const from = event.target.closest(".heat td");
    if (!move || !from || event.altKey || event.ctrlKey || event.metaKey) return;
    const table = from.closest("table");
    let row = from.parentElement.rowIndex, column = from.cellIndex, next;
    do {
      row += move[0];
      column += move[1];
      next = table.rows[row] && table.rows[row].cells[column];
    } while (next && !next.querySelector("a"));
    if (!next) return;
    event.preventDefault();
    next.querySelector("a").focus();
  }

  document.addEventListener("keydown", step);
  for (const box of document.querySelectorAll("#holes .scroll")) box.scrollLeft = box.scrollWidth; // the newest seasons
  if (sections.length) {
    document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
    refresh();
  }
})();
