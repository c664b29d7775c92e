"use strict";
// The server renders; this moves what has changed into the document, so that focus, selection and a
// screen reader's place stay where they are.
(() => {
  const page = document.getElementById("page");
  const link = document.getElementById("link");
  const news = document.getElementById("news");
  document.documentElement.classList.add("live");
  let query = location.search;
  let stream;

  function morph(from, to) {
    for (const a of [...from.attributes]) {
      if (!to.hasAttribute(a.name) && a.name !== "hidden") from.removeAttribute(a.name);
    }
    for (const a of to.attributes) {
      if (from.getAttribute(a.name) === a.value || a.name === "hidden") continue;
      from.setAttribute(a.name, a.value);
      if (a.name === "value" && from.localName === "input" && from !== document.activeElement) from.value = a.value;
    }
    const byID = new Map();
    for (const c of from.children) if (c.id) byID.set(c.id, c);
    let at = from.firstChild;
    for (const want of [...to.childNodes]) {
      let have = want.id ? byID.get(want.id) : at;
      if (have && have.nodeName === want.nodeName && (want.id || !have.id)) {
        if (have !== at) from.insertBefore(have, at); else at = at.nextSibling;
        if (have.nodeType === Node.ELEMENT_NODE) morph(have, want);
        else if (have.nodeValue !== want.nodeValue) have.nodeValue = want.nodeValue;
      } else {
        from.insertBefore(document.importNode(want, true), at);
      }
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  }

  function states() {
    const all = new Map();
    for (const r of page.querySelectorAll("tr[data-state]")) all.set(r.id, r.dataset);
    return new Map([...all].map(([id, d]) => [id, { title: d.title, state: d.state, reason: d.reason }]));
  }

  // Only what an operator must know is spoken, not every percent.
  function tell(before, after) {
    const said = [];
    for (const [id, now] of after) {
      const was = before.get(id);
      if (was && was.state === now.state || !["done", "lost", "failed", "refused", "slow"].includes(now.state)) continue;
      said.push(now.title + " " + now.state + (now.reason ? ": " + now.reason : ""));
    }
    if (said.length) news.textContent = said.slice(0, 5).join(". ") + (said.length > 5 ? ". And " + (said.length - 5) + " more" : "");
  }

  function show(html) {
    const body = new DOMParser().parseFromString(html, "text/html").getElementById("page");
    if (!body) return;
    const before = states();
    morph(page, body);
    ready();
    tell(before, states());
    document.title = page.dataset.title;
  }

  function connect() {
    if (stream) stream.close();
    stream = new EventSource("/events" + query);
    stream.addEventListener("page", (e) => {
      link.classList.remove("broken");
      link.textContent = "live";
      link.hidden = false;
      show(e.data);
    });
    stream.addEventListener("error", () => {
      link.classList.add("broken");
      link.textContent = "no answer from the seed since " + page.dataset.time;
      link.hidden = false;
      if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
    });
  }

  function look(q) {
    query = q;
    history.replaceState(null, "", "/" + q);
    connect();
  }

  function ready() {
    for (const b of page.querySelectorAll("button[data-copy][hidden]")) b.hidden = false;
  }

  async function copy(button) {
    const code = document.getElementById(button.dataset.copy);
    let ok = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      ok = true;
    } catch {
      // Without https there is no clipboard to write to; the old way still works.
      getSelection().selectAllChildren(code);
      ok = document.execCommand("copy");
      if (ok) getSelection().removeAllRanges();
    }
    news.textContent = ok ? "Copied." : "Selected; press Ctrl+C.";
    button.firstChild.nodeValue = ok ? "Copied" : "Ctrl+C";
    setTimeout(() => { button.firstChild.nodeValue = "Copy"; }, 1500);
  }

  document.addEventListener("click", (e) => {
    const a = e.target.closest("a[data-view]");
    if (a && !e.ctrlKey && !e.metaKey && !e.shiftKey) {
      e.preventDefault();
      look(new URL(a.href).search);
    }
    const b = e.target.closest("button[data-copy]");
    if (b) copy(b);
  });
  document.addEventListener("submit", (e) => { e.preventDefault(); find(e.target); });
  let typing;
  document.addEventListener("input", (e) => {
    if (e.target.name !== "q") return;
    clearTimeout(typing);
    typing = setTimeout(() => find(e.target.form), 200);
  });
  function find(form) {
    const q = new URLSearchParams(new FormData(form));
    if (!q.get("q")) q.delete("q");
    look("?" + q);
  }

  const theme = document.getElementById("theme");
  const dark = () => (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  try { if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme; } catch { /* not allowed here */ }
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.theme = document.documentElement.dataset.theme; } catch { /* not allowed here */ }
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
  theme.hidden = false;
  ready();
  connect();
})();
