// The front page's list of jobs. The key lives in this tab alone: sessionStorage, never a cookie, never an address.
// Every text is the factory's own and is set as text; state, step and percentage come as they are told to all clients.

const KEY = "openfactory-key";
const SENDABLE = /^[!-~]*$/; // fetch throws for some others, as it does when nobody answers
const EVERY_MS = 3000;
const find = (id) => document.getElementById(id);
const section = find("jobs-section"), form = find("jobs-form"), note = find("jobs-note");
const list = find("jobs-list"), forget = find("jobs-forget"), field = find("jobs-key");
let timer = 0;
let asking = 0; // counts keys: an answer to an earlier one is passed over

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function row(job) {
  const item = element("li", `job ${job.state}`, "");
  const head = element("div", "head", "");
  head.append(element("span", "name", job.name), element("span", "kind", job.kind.replace("_", " ")));
  item.append(head, element("p", "words", job.words));
  if (!job.rests && job.percent !== undefined) {
    const bar = document.createElement("progress");
    bar.max = 100;
    bar.value = job.percent;
    bar.setAttribute("aria-label", `${job.name}: ${job.words}`);
    item.append(bar);
  }
  item.append(element("code", "id", job.job_id));
  return item;
}

function say(text) {
  note.textContent = text;
  note.hidden = !text;
}

function closed(text) {
  asking += 1;
  clearTimeout(timer);
  sessionStorage.removeItem(KEY);
  list.replaceChildren();
  list.hidden = forget.hidden = true;
  form.hidden = false;
  say(text);
}

async function look(number) {
  const key = sessionStorage.getItem(KEY);
  const headers = key.startsWith("ofg_") ? { "X-Guest-Id": key } : { Authorization: `Bearer ${key}` };
  let wait = EVERY_MS;
  try {
    const answer = await fetch("/jobs", { headers, cache: "no-store" });
    const told = await answer.json();
    if (number !== asking) return;
    if (answer.status === 401 || answer.status === 403) {
      closed(told.message);
      return;
    }
    if (answer.ok) {
      list.replaceChildren(...told.jobs.map(row));
      say(told.jobs.length ? "" : "No jobs yet.");
    } else {
      wait = 1000 * Number(answer.headers.get("Retry-After") ?? 3);
      say(told.message);
    }
  } catch {
    if (number !== asking) return;
    say("The factory does not answer just now; jobs go on.");
  }
  timer = setTimeout(() => begin(), document.hidden ? 5 * wait : wait);
}

function begin() {
  if (!SENDABLE.test(sessionStorage.getItem(KEY))) {
    closed("This is no key: it has a space or a character that no key has. Copy it again.");
    return;
  }
  asking += 1;
  clearTimeout(timer);
  form.hidden = true;
  list.hidden = forget.hidden = false;
  look(asking);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, field.value.trim());
  field.value = "";
  begin();
});
forget.addEventListener("click", () => closed(""));
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && sessionStorage.getItem(KEY)) begin();
});
section.hidden = false;
if (sessionStorage.getItem(KEY)) begin();
