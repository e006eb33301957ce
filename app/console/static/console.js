// Keys, dialogs and local times. Everything that they do, a form or a link of the page does too.
"use strict";

const OFF = "deskstream.keys-off";
const one = (selector) => document.querySelector(selector);
const rows = () => [...document.querySelectorAll(".rows li > a")];

function open(id) {
  const found = document.getElementById(id);
  if (!found) return;
  if (found instanceof HTMLDialogElement) {
    if (!found.open) found.showModal();
    return;
  }
  found.open = true;
  found.querySelector("textarea")?.focus();
  found.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = rows();
  if (!all.length) {
    if (step > 0) one("a[rel=next]")?.click();
    else history.back();
    return;
  }
  const at = all.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
  all[next].focus();
}

// A page was put there by a key that is still down: it must not decide on the next ticket as well.
const keys = {
  j: () => move(1),
  k: () => move(-1),
  a: () => one("#approve")?.requestSubmit(),
  e: () => open("edit"),
  x: () => open("reject"),
  u: () => one("#undo")?.requestSubmit(),
  "/": () => (one("#search") ? one("#search").focus() : location.assign("/#search")),
  "?": () => open("help"),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || localStorage.getItem(OFF)) return;
  const field = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (field || one("dialog[open]")) {
    if (event.key === "Escape") field?.blur();
    return;
  }
  const act = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
  if (act) {
    event.preventDefault();
    act();
  }
});

// In a text, Ctrl+Enter sends.
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("textarea")) {
    event.target.form?.requestSubmit();
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener) open(opener.dataset.opens);
});

// One decision for one press.
document.addEventListener("submit", (event) => {
  if (event.target.method !== "post") return;
  if (event.target.dataset.sent) event.preventDefault();
  event.target.dataset.sent = "yes";
});

for (const kind of ["mouseover", "focusin"]) {
  document.addEventListener(kind, (event) => {
    document.querySelectorAll(".lit").forEach((lit) => lit.classList.remove("lit"));
    const claim = event.target.closest?.(".draft a[href^='#passage-']");
    if (claim) one(claim.getAttribute("href"))?.classList.add("lit");
  });
}

function local(root) {
  const format = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  root.querySelectorAll("time[datetime]").forEach((time) => {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  });
}

document.addEventListener("DOMContentLoaded", () => {
  local(document);
  const toast = one(".toast[data-undo]");
  if (toast) setTimeout(() => toast.remove(), Number(toast.dataset.undo));
  if (location.hash === "#search") one("#search")?.focus();
  const on = one("#keys-on");
  if (on) {
    on.checked = !localStorage.getItem(OFF);
    on.addEventListener("change", () => (on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
  }
});
document.addEventListener("htmx:afterSwap", (event) => local(event.target));
// Back to a page that was kept as it was left: its forms can be sent again.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
