// Keeps the operator's page up to date while somebody looks at it. Nothing is built here: the server renders the same
// page again, and those of its parts that have changed are swapped in.
"use strict";

const ACTIVE_MS = 1000;
const IDLE_MS = 5000;
const AWAY_MS = 10000;
const seen = new Map();
let said = document.getElementById("state").dataset.said;
let timer = 0;

for (const part of document.querySelectorAll("[data-live]")) seen.set(part.id, part.innerHTML);
again(delay(document));

// A page that nobody sees asks for nothing; coming back to it asks at once.
document.addEventListener("visibilitychange", () => { if (!document.hidden) again(0); });

function again(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(look, milliseconds);
}

function delay(page) {
  return "active" in page.getElementById("state").dataset ? ACTIVE_MS : IDLE_MS;
}

async function look() {
  if (document.hidden) return;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (!response.ok) throw new Error(response.statusText);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const state = page.getElementById("state");
    if (!state) {
      location.reload(); // the token has to be told again
      return;
    }
    const next = delay(page);
    for (const part of page.querySelectorAll("[data-live]")) swap(part);
    document.getElementById("now").textContent = page.getElementById("now").textContent;
    tell(state.dataset.said);
    again(next);
  } catch {
    tell("The server cannot be reached. Trying again.");
    again(AWAY_MS);
  }
}

// What was rendered before is compared, not what is on the page: a choice that somebody is making stays as it is.
function swap(part) {
  if (seen.get(part.id) === part.innerHTML) return;
  seen.set(part.id, part.innerHTML);
  const here = document.getElementById(part.id);
  const focused = here.contains(document.activeElement);
  here.replaceChildren(...document.adoptNode(part).childNodes);
  if (focused) document.getElementById("now").focus();
}

// A screen reader hears of a new stage and of the end, not of every picture.
function tell(sentence) {
  if (!sentence || sentence === said) return;
  said = sentence;
  document.getElementById("said").textContent = `${sentence}.`;
}
