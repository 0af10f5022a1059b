// The deck: moving is local and at once, deciding goes to the server card by card.
const root = document.body.dataset.root;
const deck = document.getElementById("deck");
const said = document.getElementById("said");
const help = document.getElementById("help");
const keysOn = document.getElementById("keys");
const cards = () => [...deck.querySelectorAll(".card")];
const say = (text) => { said.textContent = text; };
let current = null;
let last = [];  // ids that were decided about, the latest one last
const waiting = new Map();  // id -> the answer that is not there yet

function focusOn(card) {
  if (!card) return;
  current?.classList.remove("current");
  current = card;
  card.classList.add("current");
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = cards();
  const at = all.indexOf(current);
  focusOn(all[Math.min(all.length - 1, Math.max(0, at + step))] ?? all[0]);
}

// A draft is kept until the server has said that it has it: a session may be over, a server away.
const draftOf = (id) => `draft ${root} ${id} `;
const drafts = (id) => Object.keys(sessionStorage).filter((key) => key.startsWith(draftOf(id)));
const forget = (id) => drafts(id).forEach((key) => sessionStorage.removeItem(key));

// A draft of a card that somebody else has changed since is sent with what its writer saw: the
// answer then shows both.
function restore(card) {
  const { id } = card.dataset;
  const form = card.querySelector(".edit form");
  if (!form) return;
  const { text, etag } = form.elements;
  const key = drafts(id).at(-1);
  const draft = key && sessionStorage.getItem(key);
  if (key && draft !== text.value && !card.querySelector(".conflict")) {
    text.value = draft;
    etag.value = key.slice(draftOf(id).length);
    card.querySelector(".edit").open = true;
    say("Your unsaved text is back.");
  }
  text.addEventListener("input", () => {
    const mine = text.value;
    forget(id);
    sessionStorage.setItem(draftOf(id) + etag.value, mine);
  });
}

// What one decides oneself makes no draft out of date.
function settleDraft(id, etag, isSaved) {
  const key = drafts(id).at(-1);
  const draft = key && sessionStorage.getItem(key);
  if (!key) return;
  forget(id);
  if (!isSaved) sessionStorage.setItem(draftOf(id) + etag, draft);
}

function send(card, form, action) {
  const id = card.dataset.id;
  const counts = action !== "undo";
  if (counts) last.push(id);
  const done = carryOut(card, form, action).then((well) => {
    waiting.delete(id);
    if (counts && !well) last.splice(last.lastIndexOf(id), 1);
    if (!counts && well === null) last.push(id);
  });
  waiting.set(id, done);
}

// Returns whether the candidate was changed; null if there is no answer to that.
async function carryOut(card, form, action) {
  const focused = card.contains(document.activeElement) ? document.activeElement : null;
  const { id } = card.dataset;
  const body = new URLSearchParams(new FormData(form));
  body.set("do", action);
  card.inert = true;
  card.setAttribute("aria-busy", "true");
  let failed = "";
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { "x-fragment": "1" } });
    const kind = answer.headers.get("content-type") ?? "";
    if (kind.startsWith("text/html")) {
      const box = document.createElement("template");
      box.innerHTML = await answer.text();
      const fresh = box.content.querySelector(".card");
      if (fresh) {
        if (answer.ok) settleDraft(id, fresh.dataset.etag, action.startsWith("save"));
        const was = current === card;
        card.replaceWith(fresh);
        if (was) { current = fresh; fresh.classList.add("current"); if (!document.activeElement || document.activeElement === document.body) fresh.focus({ preventScroll: true }); }
        adopt(fresh);
        say(`Candidate ${fresh.dataset.id}: ${answer.ok ? fresh.dataset.status : "nothing was changed"}.`);
        return answer.ok && fresh.dataset.etag !== card.dataset.etag;
      }
    }
    failed = kind.includes("json") ? (await answer.json()).error : `the server answered ${answer.status}`;
    if (answer.status === 401) failed += ` (${location.origin}${root}/login in another tab)`;
  } catch {
    failed = "the server does not answer; your text is kept here";
  }
  card.inert = false;
  card.removeAttribute("aria-busy");
  let line = card.querySelector(".problem");
  if (!line) {
    line = document.createElement("p");
    line.className = "problem";
    card.querySelector("header").after(line);
  }
  line.textContent = failed;
  if (document.activeElement === document.body) focused?.focus({ preventScroll: true });
  say(failed);
  return null;
}

function act(card, action) {
  const form = card?.querySelector(action.startsWith("save") ? ".edit form" : ".decide");
  const button = form?.querySelector(`button[value="${action}"]`);
  if (!button || card.inert) return false;
  send(card, form, action);
  return true;
}

function adopt(card) {
  restore(card);
  card.addEventListener("submit", (event) => {
    const action = event.submitter?.value;
    if (!action) return;
    event.preventDefault();
    send(card, event.target, action);
  });
  card.addEventListener("focusin", () => {
    if (current === card) return;
    current?.classList.remove("current");
    current = card;
    card.classList.add("current");
  });
  card.querySelector(".drop-mine")?.addEventListener("click", () => {
    forget(card.dataset.id);
    card.querySelector(".conflict").remove();
    card.focus({ preventScroll: true });
  });
}

function withReason(action) {
  const box = current?.querySelector(".reason");
  if (!box) return;
  const card = current;
  box.open = true;
  const field = box.querySelector("input");
  field.focus();
  field.onkeydown = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (act(card, action)) move(1);
  };
}

const decisions = { a: "approve", r: "reject", h: "hold" };
let gone = -Infinity;  // when g was pressed

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input:not([type=checkbox]), textarea, select");
  const card = event.target.closest?.(".card");
  if (typing) {
    if (event.key === "Escape") { event.target.blur(); focusOn(card ?? current); }
    if (event.ctrlKey && event.key === "s" && card) { event.preventDefault(); act(card, "save"); }
    if (event.ctrlKey && event.key === "Enter" && card) { event.preventDefault(); if (act(card, "save-approve")) move(1); }
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || help.open || !keysOn.checked) return;
  const key = event.key;
  if (event.repeat && key !== "j" && key !== "k") return;  // a key that is held down decides once
  if (performance.now() - gone < 1500 && "rca".includes(key)) {
    location.href = root + { r: "/review", c: "/calendar", a: "/analytics" }[key];
    return;
  }
  gone = -Infinity;
  if (key === "g") gone = performance.now();
  else if (key === "j" || key === "k") move(key === "j" ? 1 : -1);
  else if (key === "?") help.showModal();
  else if (key === "/") document.querySelector(".search input[name=q]").focus();
  else if (key === "u") undo();
  else if (!current) return;
  else if (key in decisions) { const card = current; move(1); act(card, decisions[key]); }
  else if (key.toLowerCase() in decisions) withReason(decisions[key.toLowerCase()]);
  else if (key === "e") {
    const box = current.querySelector(".edit");
    if (!box) return;
    box.open = true;
    box.querySelector("textarea").focus();
  } else if (key === "x") current.querySelector(".pick input")?.click();
  else if (key === "s") location.href = `${root}/posts/c${current.dataset.id}#schedule`;
  else return;
  event.preventDefault();
});

async function undo() {
  const id = last.pop() ?? current?.dataset.id;
  await waiting.get(id);  // what is on its way cannot be taken back yet
  const card = id && document.getElementById(`c${id}`);
  if (card && act(card, "undo")) focusOn(card);
}

cards().forEach(adopt);
focusOn(location.hash ? document.querySelector(location.hash) : cards()[0]);
keysOn.checked = localStorage.getItem("keys off") === null;
keysOn.addEventListener("change", () => {
  if (keysOn.checked) localStorage.removeItem("keys off");
  else localStorage.setItem("keys off", "1");
});
const show = document.getElementById("show-help");
show.hidden = false;
show.addEventListener("click", () => help.showModal());
