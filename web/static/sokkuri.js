// What the page does beyond a plain form: drop or paste a picture, see it at once, get the answer without a reload.
// The answer is not built here: the server renders the same page as for the plain form, and a part of it is swapped in.
"use strict";

const form = document.getElementById("ask");

if (form) {
  const input = document.getElementById("picture");
  const status = document.getElementById("status");
  const preview = document.getElementById("preview");
  const root = document.documentElement;
  let running = null;
  root.classList.add("script");
  settle();

  input.addEventListener("change", () => {
    if (input.files.length > 0) ask(input.files[0]);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.files.length > 0) ask(input.files[0]);
  });

  // Entering a child element fires before leaving its parent, so a count tells whether the pointer is over the page.
  let depth = 0;
  document.addEventListener("dragenter", () => root.classList.toggle("dragging", ++depth > 0));
  document.addEventListener("dragleave", () => root.classList.toggle("dragging", --depth > 0));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    root.classList.remove("dragging");
    take(event.dataTransfer, "What was dropped is not a picture file. Save the picture first, or copy and paste it.");
  });
  document.addEventListener("paste", (event) => {
    take(event.clipboardData, "The clipboard holds no picture. Copy a picture itself, not its address.");
  });

  function take(data, sentence) {
    const file = Array.from(data.files)[0];
    if (file) ask(file);
    else status.textContent = sentence;
  }

  async function ask(file) {
    if (running) running.abort();
    const mine = new AbortController();
    running = mine;
    show(file);
    if (file.size > Number(form.dataset.maxBytes)) {
      const limit = Number(form.dataset.maxBytes).toLocaleString("en");
      refuse("The picture is too large", `It has ${file.size.toLocaleString("en")} bytes, and ${limit} are accepted.`);
      return;
    }
    busy(true);
    status.textContent = "Looking at the picture …";
    try {
      const body = new FormData();
      body.append("picture", file, "picture");
      const response = await fetch(form.action, { method: "POST", body, signal: mine.signal });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const answer = page.getElementById("answer");
      if (!answer) throw new Error("the answer is not a page of Sokkuri's");
      finish(answer);
    } catch (error) {
      if (error.name !== "AbortError") {
        refuse("No answer came", "The server could not be reached. Is it still running? Then try again.");
      }
    } finally {
      if (running === mine) busy(false);
    }
  }

  function show(file) {
    if (preview.src) URL.revokeObjectURL(preview.src);
    preview.src = URL.createObjectURL(file);
    preview.hidden = false;
    // What the browser cannot show itself is left to the server to judge.
    preview.onerror = () => { preview.hidden = true; };
  }

  function busy(yes) {
    root.classList.toggle("busy", yes);
    document.getElementById("answer").setAttribute("aria-busy", String(yes));
  }

  function finish(answer) {
    busy(false);
    document.getElementById("answer").replaceWith(document.adoptNode(answer));
    const heading = answer.querySelector("h2");
    // An error announces itself: it is an alert.
    const done = "answered" in answer.dataset && heading;
    status.textContent = done ? `Done: ${heading.textContent.trim().replace(/\s+/g, " ")}.` : "";
    settle();
    form.reset();
    if (heading) heading.focus();
  }

  function refuse(title, sentence) {
    const answer = document.createElement("section");
    answer.id = "answer";
    answer.className = "answer";
    answer.setAttribute("aria-label", "Answer");
    const box = answer.appendChild(document.createElement("div"));
    box.className = "trouble";
    box.setAttribute("role", "alert");
    const heading = box.appendChild(document.createElement("h2"));
    heading.tabIndex = -1;
    heading.textContent = title;
    box.appendChild(document.createElement("p")).textContent = sentence;
    finish(answer);
  }

  // With an answer below, which shows the picture again, the style sheet makes the question small.
  function settle() {
    if ("answered" in document.getElementById("answer").dataset) preview.hidden = true;
  }
}
