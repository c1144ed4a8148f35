// Shows the analyst's notes, qa_notes.html, once they are there. Browsers load it over HTTP only, not from file://.
"use strict";

(async () => {
  const place = document.getElementById("qa-notes");
  const answer = await fetch("qa_notes.html", { cache: "no-store" }).catch(() => null);
  if (!answer || !answer.ok) {
    return;
  }
  const notes = await answer.text();
  const lines = notes.replace(/<br\s*\/?>/gi, "");
  let shown;
  if (/<[a-z!/]/i.test(lines)) {
    // Written as HTML: shown as such, but without scripts and without access to this page.
    shown = document.createElement("iframe");
    shown.setAttribute("sandbox", "");
    shown.srcdoc = notes;
  } else {
    shown = document.createElement("pre");
    shown.textContent = lines;
  }
  place.replaceChildren(shown);
})();
