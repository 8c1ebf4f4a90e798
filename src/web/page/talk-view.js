// A channel or the thread with an agent: its history, the marker of what is new, replies, stages, and the field to write.
import { act, app, attempt, get, nameOf, timeOf } from "./app.js"
import { h, replace, showList } from "./dom.js"
import { agentLabel, badge, button } from "./parts.js"
import { mergeMessages, threadOf } from "./store.js"
import { clockTime, fullTime, number, t } from "./words.js"

/** @typedef {import("../shapes.js").MessageRow} MessageRow */

/** Messages of one request, and most that are shown. */
const pageSize = 100
const shownMessages = 300
/** Characters of a quoted message, and of one before it is cut. */
const quoted = 90
const shownCharacters = 4_000
const stageOrder = ["accepted", "mirrored", "rung", "retrieved", "in_context", "claimed", "failed"]

export class TalkView {
  /** Those that are shown, oldest first. @type {readonly MessageRow[]} */
  #messages = []
  #key = ""
  #hasOlder = false
  /** True while the newest messages are not among those that are shown. */
  #isInPast = false
  /** The message that a new one will answer. */
  #replyTo = ""
  /** The first message of the thread that is shown alone. */
  #thread = ""
  #selected = ""
  /** Time up to which the person had read when it opened the conversation. */
  #markerTs = 0
  #isLoading = false
  /** @type {Set<string>} */
  #unfolded = new Set()

  #title = h("h1")
  #about = h("p", { class: "about", dir: "auto" })
  #tools = h("div", { class: "row tools" })
  #list = h("ol", { class: "messages" })
  #older = button("", () => void this.#loadOlder(), "older")
  #newest = button("", () => void this.open(this.#key), "newest primary")
  scroller = h(
    "div",
    { class: "scroller", tabindex: 0, role: "log", "aria-live": "off" },
    this.#older,
    this.#list,
  )
  #answering = h("div", { class: "answering" })
  #field = h("textarea", {
    name: "text",
    rows: 1,
    keydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
    input: () => this.#grow(),
  })
  #kind = h("select", { name: "kind" })
  #sender = h("button", { type: "submit", class: "primary" })
  #form = h(
    "form",
    { class: "compose", submit: (/** @type {Event} */ event) => this.#onSubmit(event) },
    this.#answering,
    this.#field,
    this.#kind,
    this.#sender,
  )
  #head = h("div", { class: "head" }, h("div", { class: "titles" }, this.#title, this.#about), this.#tools)
  element = h("section", { class: "view talk" }, this.#head, this.scroller, this.#newest, this.#form)

  /** @param {string} wanted @param {string} [message] - to scroll to */
  async open(wanted, message) {
    const isOther = wanted !== this.#key
    if (isOther) {
      this.#key = wanted
      this.#messages = []
      this.#replyTo = ""
      this.#thread = ""
      this.#selected = ""
      this.#unfolded.clear()
      this.#markerTs = this.#rowOf()?.readTs ?? 0
    }
    this.#isInPast = false
    this.#isLoading = true
    const page = await this.#load(wanted)
    this.#isLoading = false
    if (page === undefined || this.#key !== wanted) return
    this.#messages = page.messages
    this.#hasOlder = page.more
    this.update()
    while (
      message !== undefined &&
      !this.#messages.some(({ id }) => id === message) &&
      this.#hasOlder &&
      (await this.#loadOlder())
    );
    if (message !== undefined) this.#select(message)
    else this.scroller.scrollTop = this.scroller.scrollHeight
    this.markRead()
  }

  /** @param {string} wanted @param {MessageRow} [before] */
  async #load(wanted, before) {
    /** @type {{ messages: MessageRow[], more: boolean } | undefined} */
    let page
    await attempt(async () => {
      page = await get("messages", { in: wanted, before: before?.id, beforeTs: before?.ts, limit: pageSize })
    })
    return page
  }

  async #loadOlder() {
    const [oldest] = this.#messages
    const wanted = this.#key
    if (oldest === undefined || this.#isLoading) return false
    this.#isLoading = true
    const page = await this.#load(wanted, oldest)
    this.#isLoading = false
    if (page === undefined || this.#key !== wanted) return false
    const heightBefore = this.scroller.scrollHeight - this.scroller.scrollTop
    this.#hasOlder = page.more
    const all = mergeMessages(this.#messages, page.messages)
    this.#isInPast ||= all.length > shownMessages
    this.#messages = all.slice(0, shownMessages)
    this.update()
    this.scroller.scrollTop = this.scroller.scrollHeight - heightBefore
    return page.messages.length > 0
  }

  /** Takes messages that are new or have changed. @param {readonly MessageRow[]} changed */
  take(changed) {
    const own = changed.filter(({ conversation }) => conversation === this.#key)
    if (own.length === 0) return
    const known = new Set(this.#messages.map(({ id }) => id))
    const fitting = this.#isInPast ? own.filter(({ id }) => known.has(id)) : own
    const isAtEnd = this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight < 60
    const all = mergeMessages(this.#messages, fitting)
    if (all.length > shownMessages) this.#hasOlder = true
    this.#messages = all.slice(-shownMessages)
    this.update()
    if (!isAtEnd || this.#isInPast) return
    this.scroller.scrollTop = this.scroller.scrollHeight
    if (document.hasFocus()) this.markRead()
  }

  #rowOf() {
    return app.state.conversations.find((each) => each.key === this.#key)
  }

  /** Says that the person has seen the newest message, if it has. */
  markRead() {
    const last = this.#messages.at(-1)
    const row = this.#rowOf()
    if (last === undefined || row === undefined || last.ts <= row.readTs || app.view !== "talk") return
    void attempt(() => act("read", { conversation: this.#key, ts: last.ts }))
  }

  update() {
    const hasThread = this.#thread !== ""
    this.#updateHead()
    this.#older.textContent = t("talk.older")
    this.#older.hidden = !this.#hasOlder || hasThread
    this.#newest.textContent = t("talk.newest")
    this.#newest.hidden = !this.#isInPast
    const shown = hasThread ? threadOf(this.#messages, this.#thread) : this.#messages
    const firstNew = shown.find((message) => message.ts > this.#markerTs && !message.isMine)?.id
    const replies = countReplies(this.#messages)
    const language = t("talk.older")
    showList(this.#list, shown, {
      key: ({ id }) => id,
      mark: (message) => {
        const { id } = message
        const isUnfolded = this.#unfolded.has(id)
        const { canWrite } = app.state.me
        return JSON.stringify([message, firstNew === id, replies.get(id), isUnfolded, canWrite, language])
      },
      make: (message) => this.#make(message, firstNew === message.id, replies.get(message.id) ?? 0),
    })
    this.#list.classList.toggle("nothing", shown.length === 0)
    this.#list.dataset["empty"] = this.#isLoading ? t("loading") : t("talk.none")
    this.#updateForm()
  }

  #updateHead() {
    const row = this.#rowOf()
    const isDirect = this.#key.startsWith("@")
    this.#title.textContent = isDirect ? t("talk.with", { name: nameOf(this.#key) }) : this.#key
    const count = row?.agents === undefined ? undefined : agentCount(row.agents)
    const facts = isDirect ? [t("talk.private")] : [row?.description, count]
    this.#about.textContent = facts.filter((fact) => fact !== undefined).join(" · ")
    replace(this.#tools, this.#thread !== "" && button(t("talk.whole"), () => this.#showThread("")))
  }

  #updateForm() {
    const { canWrite } = app.state.me
    this.#form.hidden = !canWrite
    this.#field.placeholder = t("talk.write", {
      name: this.#key.startsWith("@") ? `@${nameOf(this.#key)}` : this.#key,
    })
    this.#field.setAttribute("aria-label", this.#field.placeholder)
    this.#sender.textContent = t("do.send")
    if (this.#kind.options.length === 0 || this.#kind.dataset["language"] !== t("kind.none")) {
      const before = this.#kind.value
      this.#kind.dataset["language"] = t("kind.none")
      replace(
        this.#kind,
        ...["", "request", "inform", "status"].map((value) =>
          h("option", { value }, t(value === "" ? "kind.none" : `kind.${value}`)),
        ),
      )
      this.#kind.value = before
    }
    this.#kind.setAttribute("aria-label", t("talk.kind"))
    const answered = this.#messages.find(({ id }) => id === this.#replyTo)
    this.#answering.hidden = answered === undefined
    if (answered !== undefined)
      replace(
        this.#answering,
        h(
          "span",
          {},
          t("talk.answering", { name: answered.name }),
          " ",
          h("q", {}, cut(answered.text, quoted)),
        ),
        button("×", () => this.#reply(""), "quiet"),
      )
  }

  /** @param {MessageRow} message @param {boolean} isFirstNew @param {number} replies */
  #make(message, isFirstNew, replies) {
    const { id, text, re, parts, isMine, isForMe } = message
    const isCut = text.length > shownCharacters && !this.#unfolded.has(id)
    const classes = ["message", isMine && "mine", isForMe && "for-me", this.#selected === id && "selected"]
    /** @param {MouseEvent} event */
    const onClick = ({ target }) => {
      if (!(target instanceof Element && target.closest("button, details"))) this.#select(id, false)
    }
    return h(
      "li",
      { class: classes.filter(Boolean).join(" "), "data-id": id, click: onClick },
      isFirstNew && h("div", { class: "marker", role: "separator" }, h("span", {}, t("talk.new"))),
      re !== undefined && this.#quote(re),
      headOf(message),
      h("p", { class: "text", dir: "auto" }, isCut ? `${text.slice(0, shownCharacters)}…` : text),
      isCut && button(t("talk.unfold", { n: number(text.length) }), () => this.#unfold(id), "quiet"),
      parts > 0 && h("p", { class: "hint" }, t("talk.parts", { n: parts })),
      h(
        "div",
        { class: "row under" },
        isMine && stagesOf(message),
        replies > 0 && button(repliesText(replies), () => this.#showThread(id), "quiet"),
      ),
      this.#toolsOf(message),
    )
  }

  /** The stage of a message of others, and its answer: shown for the message that a person looks at. @param {MessageRow} message */
  #toolsOf(message) {
    const stage = !message.isMine && stagesOf(message)
    const { canWrite } = app.state.me
    const reply = canWrite && button(t("do.reply"), () => this.#reply(message.id), "quiet")
    return h("div", { class: "row tools" }, stage, reply)
  }

  /** The beginning of the message that another one answers. @param {string} id */
  #quote(id) {
    const answered = this.#messages.find((each) => each.id === id)
    const text =
      answered === undefined ? t("talk.earlier") : `${answered.name}: ${cut(answered.text, quoted)}`
    return h("button", { type: "button", class: "plain quote", click: () => this.#select(id) }, `↳ ${text}`)
  }

  /** @param {string} id @param {boolean} [isScrolled] */
  #select(id, isScrolled = true) {
    this.#elementOf(this.#selected)?.classList.remove("selected")
    this.#selected = id
    const element = this.#elementOf(id)
    element?.classList.add("selected")
    if (isScrolled) element?.scrollIntoView({ block: "center" })
  }

  /** @param {string} id */
  #elementOf(id) {
    return this.#list.querySelector(`[data-id="${CSS.escape(id)}"]`)
  }

  /** @param {string} id */
  #unfold(id) {
    this.#unfolded.add(id)
    this.update()
  }

  /** @param {string} root */
  #showThread(root) {
    this.#thread = root
    this.update()
  }

  /** @param {string} id */
  #reply(id) {
    this.#replyTo = id
    this.#updateForm()
    if (id !== "") this.#field.focus()
  }

  /** @param {number} step */
  move(step) {
    const at = this.#messages.findIndex(({ id }) => id === this.#selected)
    const next =
      this.#messages[
        at < 0 ? this.#messages.length - 1 : Math.max(0, Math.min(this.#messages.length - 1, at + step))
      ]
    if (next !== undefined) this.#select(next.id)
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    this.#form.requestSubmit()
  }

  /** @param {Event} event */
  #onSubmit(event) {
    event.preventDefault()
    void this.#submit()
  }

  async #submit() {
    const text = this.#field.value
    if (text.trim() === "" || this.#field.disabled) return
    const more = {
      ...(this.#replyTo !== "" && { re: this.#replyTo }),
      ...(this.#kind.value !== "" && { kind: this.#kind.value }),
    }
    this.#field.disabled = true
    // The same text, sent again after a lost answer, is the same message.
    const id = (this.#field.dataset["id"] ??= crypto.randomUUID())
    const isSent = await attempt(() => act("send", { to: this.#key, text, id, ...more }))
    this.#field.disabled = false
    this.#field.focus()
    if (!isSent) return
    delete this.#field.dataset["id"]
    this.#field.value = ""
    this.#grow()
    this.#reply("")
    this.#markerTs = Infinity
    this.scroller.scrollTop = this.scroller.scrollHeight
  }

  #grow() {
    this.#field.rows = Math.min(8, this.#field.value.split("\n").length)
  }

  /** Shows what is new once more, if the newest messages are shown. */
  reload() {
    if (!this.#isInPast && this.#key !== "") void this.open(this.#key)
  }

  /** Answers the selected message. */
  replyToSelected() {
    if (this.#selected !== "") this.#reply(this.#selected)
  }

  /** Shows the thread of the selected message alone, or everything again. */
  toggleThread() {
    this.#showThread(this.#thread === "" ? this.#selected : "")
  }

  focus() {
    this.#field.focus()
  }
}

/** Author, time and kind of a message. @param {MessageRow} message */
function headOf({ from, name, ts, seq, kind, verified }) {
  return h(
    "div",
    { class: "line" },
    agentLabel(from, name),
    h("time", { datetime: new Date(ts).toISOString(), title: fullTime(ts) }, clockTime(ts)),
    kind !== undefined && badge(t(`kind.${kind}`), `kind-${kind}`),
    verified
      ? h("span", { class: "signed", title: t("talk.verified.means") }, `✓ ${t("talk.verified")}`)
      : h("span", { class: "unsigned", title: t("talk.unverified.means") }, t("talk.unverified")),
    seq !== undefined && h("span", { class: "id" }, `#${seq}`),
  )
}

/** Counts the answers to each message. @param {readonly MessageRow[]} messages */
function countReplies(messages) {
  /** @type {Map<string, number>} */
  const replies = new Map()
  for (const { re } of messages) if (re !== undefined) replies.set(re, (replies.get(re) ?? 0) + 1)
  return replies
}

/** @param {number} n */
function agentCount(n) {
  return t(n === 1 ? "talk.agent" : "talk.agents", { n })
}

/** @param {number} n */
function repliesText(n) {
  return t(n === 1 ? "talk.reply" : "talk.replies", { n })
}

/** Says how far a message has come, and by whose report. @param {MessageRow} message */
function stagesOf({ isMine, stages, seq, ts, conversation }) {
  const last = stages.toSorted((a, b) => stageOrder.indexOf(a.state) - stageOrder.indexOf(b.state)).at(-1)
  const state = last?.state ?? "accepted"
  if (!isMine && seq === undefined) return undefined
  const readers = new Set(stages.filter((each) => each.state === state).map(({ by }) => by)).size
  const label = readers > 1 ? `${t(`stage.${state}`)} ×${readers}` : t(`stage.${state}`)
  /** @type {(readonly [string, string, number, string])[]} */
  const evidence = [["accepted", conversation, ts, seq === undefined ? "" : `#${seq}`]]
  for (const { state: each, by, ts: at, method, reason } of stages)
    evidence.push([each, nameOf(by), at, [method, reason].filter(Boolean).join(", ")])
  return h(
    "details",
    { class: `stage stage-${state}` },
    h("summary", {}, label),
    h(
      "ul",
      {},
      ...evidence.map(([each, by, at, more]) =>
        h(
          "li",
          {},
          h("strong", {}, t(`stage.${each}`)),
          ` ${t("stage.by", { by })} `,
          timeOf(at),
          more !== "" && ` (${more})`,
          h("small", {}, ` ${t(`stage.${each}.means`)}`),
        ),
      ),
    ),
  )
}

/** @param {string} text @param {number} length */
function cut(text, length) {
  const line = text.replace(/\s+/g, " ").trim()
  return line.length > length ? `${line.slice(0, length)}…` : line
}
