// Puts the page together: the frame, the stream of changes, the keys, the address.
import { AgentsView } from "./agents-view.js"
import { act, agentOf, app, attempt, emptyState, nameOf, notify, setTime, tick, timeOf } from "./app.js"
import { commandUsages, parseCommand } from "./commands.js"
import { h, replace, showList } from "./dom.js"
import { GuardsView } from "./guards-view.js"
import { actionOfKey, keys, showKeys } from "./keys.js"
import { NeedsLane } from "./needs-lane.js"
import { button, stateIcon } from "./parts.js"
import { SearchView } from "./search-view.js"
import { agentStates, applyChange, sortConversations } from "./store.js"
import { TalkView } from "./talk-view.js"
import { loadWords, number, otherLanguage, preferredLanguage, rememberLanguage, t } from "./words.js"
import { WorkView } from "./work-view.js"

/** @typedef {import("../shapes.js").Change} Change */
/** @typedef {import("../shapes.js").Need} Need */

const views = /** @type {const} */ (["talk", "agents", "work", "guards"])
const themeKey = "agentchat.theme"
/** Channels and threads in the list. */
const shownConversations = 200
/** Milliseconds without a connection to the server after which the page says so. */
const patienceMs = 2_000

class Page {
  #talk = new TalkView()
  #agents = new AgentsView({
    write: (agent) => void this.#openThread(agent),
    type: (command) => this.#openCommand(command),
    guards: (agent) => {
      this.#go("guards")
      void this.#guards.choose(agent)
    },
  })
  #work = new WorkView()
  #guards = new GuardsView()
  #found = new SearchView(
    ({ conversation, id }) => this.#openConversation(conversation, id),
    (filter) => {
      this.#search.value = `${this.#search.value.trim()} ${filter}`.trim()
      this.#search.focus()
    },
  )
  #needs = new NeedsLane((need, isAnswered) => this.#showNeed(need, isAnswered))
  #pill = h("span", { class: "pill", role: "status" })
  #tiles = h("ul", { class: "tiles" })
  #search = h("input", { type: "search", name: "search", class: "search" })
  #language = button("", () => void this.#setLanguage(otherLanguage()), "quiet")
  #theme = button("◐", () => this.#turnTheme(), "quiet")
  #help = button("?", () => showKeys(this.#dialog), "quiet")
  #tabs = h("div", { class: "tabs" })
  #conversations = h("ol", { class: "conversations" })
  #main = h("main", { id: "main", tabindex: -1 })
  #hints = h("footer", { class: "hints" })
  #command = h("input", { type: "text", name: "command", autocomplete: "off", spellcheck: "false" })
  #usage = h("p", { class: "hint" })
  #commandForm = h(
    "form",
    { class: "command", hidden: true },
    h("span", { "aria-hidden": "true" }, ":"),
    this.#command,
    this.#usage,
  )
  #dialog = h("dialog")
  #side = h("nav", { class: "side" }, this.#tabs, this.#conversations)
  #lostTimer = 0
  #isDrawing = false
  #lastNeed = ""

  async start() {
    setTheme(localStorage.getItem(themeKey) ?? "auto")
    await loadWords(preferredLanguage())
    // The token of the link is used up; it need not stay in the address.
    if (location.search !== "") history.replaceState(null, "", `/${location.hash}`)
    this.#build()
    this.#readAddress()
    this.#draw()
    this.#listen()
    setInterval(tick, 1_000)
  }

  #build() {
    const brand = h("span", { class: "brand" }, "agentchat")
    const search = h(
      "form",
      {
        role: "search",
        submit: (/** @type {Event} */ event) => {
          event.preventDefault()
          this.#runSearch(this.#search.value)
        },
      },
      this.#search,
    )
    const tools = h("div", { class: "row" }, this.#language, this.#theme, this.#help)
    replace(
      document.getElementById("app") ?? document.body,
      h("a", { class: "skip", href: "#main", click: () => this.#main.focus() }, t("skip")),
      h("header", { class: "bar" }, brand, this.#pill, this.#tiles, search, tools),
      h("div", { class: "body" }, this.#side, this.#needs.element, this.#main),
      this.#commandForm,
      h("p", { id: "notice", class: "notice", role: "status", "aria-live": "polite" }),
      this.#hints,
      this.#dialog,
    )
    document.addEventListener("keydown", (event) => this.#onKey(event))
    window.addEventListener("hashchange", () => this.#readAddress())
    window.addEventListener("focus", () => this.#talk.markRead())
    this.#commandForm.addEventListener("submit", (event) => {
      event.preventDefault()
      void this.#runCommand(this.#command.value)
    })
    this.#command.addEventListener("input", () => this.#showUsage())
    this.#command.addEventListener("blur", () => this.#closeCommand())
  }

  /** Follows the server; the browser connects again by itself and names the last change that it has. */
  #listen() {
    const source = new EventSource("/api/events")
    source.addEventListener("state", ({ data }) => {
      const { now, ...state } = /** @type {import("../shapes.js").PageState & { now: number }} */ (
        parse(data)
      )
      setTime(now)
      app.state = { ...emptyState, ...state }
      this.#talk.reload()
      this.#changed()
    })
    source.addEventListener("change", ({ data }) => this.#take(/** @type {Change} */ (parse(data))))
    source.addEventListener("open", () => {
      clearTimeout(this.#lostTimer)
      this.#lostTimer = 0
      app.isLive = true
      this.#changed()
    })
    source.addEventListener("error", () => {
      if (source.readyState === EventSource.CLOSED) notify(t("error.link"), true)
      if (this.#lostTimer !== 0) return
      this.#lostTimer = setTimeout(() => {
        app.isLive = false
        this.#changed()
      }, patienceMs)
    })
  }

  /** @param {Change} change */
  #take(change) {
    setTime(change.now)
    app.state = applyChange(app.state, change)
    if (change.messages !== undefined) this.#talk.take(change.messages)
    if (change.manyMessages === true) this.#talk.reload()
    this.#changed()
  }

  /** Draws once before the next frame, however much has changed. */
  #changed() {
    if (this.#isDrawing) return
    this.#isDrawing = true
    requestAnimationFrame(() => {
      this.#isDrawing = false
      this.#draw()
    })
  }

  #draw() {
    this.#drawBar()
    this.#drawSide()
    this.#needs.update()
    const view = this.#viewOf(app.view)
    if (this.#main.firstElementChild !== view.element) replace(this.#main, view.element)
    view.update()
    const unread =
      app.state.conversations.reduce((sum, { mentions }) => sum + mentions, 0) + app.state.needs.length
    document.title = unread > 0 ? `(${unread}) agentchat` : "agentchat"
    this.#hints.hidden = false
    if (this.#hints.dataset["language"] !== t("key.need")) {
      this.#hints.dataset["language"] = t("key.need")
      const shown = /** @type {const} */ (["n", "u", "j", "k", "c", "r", "/", ":", "?"])
      replace(
        this.#hints,
        ...shown.map((key) => h("span", {}, h("kbd", {}, key), ` ${t(`key.${keys[key]}`)}`)),
      )
    }
  }

  /** @param {typeof app.view} name */
  #viewOf(name) {
    return {
      talk: this.#talk,
      agents: this.#agents,
      work: this.#work,
      guards: this.#guards,
      search: this.#found,
    }[name]
  }

  #drawBar() {
    const { relay, me, agents } = app.state
    const isLive = app.isLive && relay.isOnline
    this.#pill.className = isLive ? "pill live" : "pill stale"
    document.body.classList.toggle("stale", !isLive)
    const words = isLive
      ? t("relay.live", { name: relay.name })
      : !app.isLive
        ? t("relay.noserver")
        : t("relay.away", { name: relay.name === "" ? relay.url : relay.name })
    const mark = `${words} ${me.name} ${relay.sinceTs}`
    if (this.#pill.dataset["mark"] !== mark) {
      this.#pill.dataset["mark"] = mark
      this.#pill.title = `${relay.url} · ${me.name} ${me.id}${me.isOperator ? ` · ${t("operator")}` : ""}`
      replace(
        this.#pill,
        `${isLive ? "●" : "◌"} ${words}`,
        ...(isLive || relay.sinceTs === 0 ? [] : [" ", timeOf(relay.sinceTs)]),
      )
    }
    const counts = agentStates.map((state) => ({
      state,
      n: agents.filter((agent) => agent.state === state).length,
    }))
    showList(
      this.#tiles,
      counts.filter(({ state, n }) => n > 0 || state === "waiting" || state === "working"),
      {
        key: ({ state }) => state,
        mark: ({ n }) => `${n} ${t("state.waiting")}`,
        make: ({ state, n }) =>
          h(
            "li",
            { title: t(`state.${state}`) },
            stateIcon(state),
            h("strong", {}, number(n)),
            h("span", { class: "word" }, t(`state.${state}`)),
          ),
      },
    )
    this.#language.textContent = t("language.other")
    this.#theme.setAttribute("aria-label", t("theme"))
    this.#theme.title = t("theme")
    this.#help.setAttribute("aria-label", t("keys.title"))
    this.#search.placeholder = t("search.placeholder")
    this.#search.setAttribute("aria-label", t("search.placeholder"))
  }

  #drawSide() {
    this.#side.setAttribute("aria-label", t("side"))
    showList(this.#tabs, views, {
      key: (view) => view,
      mark: (view) => `${app.view === view} ${t(`view.${view}`)}`,
      make: (view) =>
        h(
          "button",
          {
            type: "button",
            class: "tab",
            "aria-current": app.view === view ? "page" : undefined,
            click: () => this.#go(view),
          },
          t(`view.${view}`),
        ),
    })
    const shown = sortConversations(app.state.conversations).slice(0, shownConversations)
    showList(this.#conversations, shown, {
      key: ({ key }) => key,
      mark: ({ key, title, unread, mentions, isPrivate }) =>
        JSON.stringify([
          title,
          nameOf(key),
          unread,
          mentions,
          isPrivate,
          this.#isShown(key),
          agentOf(key)?.state,
          t("side"),
        ]),
      make: (conversation) => this.#conversationItem(conversation),
    })
  }

  /** @param {string} key */
  #isShown(key) {
    return app.view === "talk" && app.conversation === key
  }

  /** @param {import("../shapes.js").ConversationRow} conversation */
  #conversationItem({ key, title, unread, mentions, isPrivate }) {
    const agent = agentOf(key)
    const isThread = key.startsWith("@")
    const icon = isThread ? stateIcon(agent?.state ?? "offline") : signOf(isPrivate)
    return h(
      "li",
      {},
      h(
        "button",
        {
          ...{ type: "button", class: unread > 0 ? "conversation unread" : "conversation" },
          ...{ "aria-current": this.#isShown(key) && "true", "data-key": key },
          click: () => this.#openConversation(key),
        },
        icon,
        h("span", { class: "name" }, isThread ? (agent?.name ?? title) : key.slice(1)),
        unread > 0 && unreadCount(unread, mentions),
      ),
    )
  }

  /** @param {typeof app.view} view */
  #go(view) {
    if (view === "talk") {
      this.#openConversation(app.conversation)
      return
    }
    app.view = view
    this.#writeAddress()
    this.#draw()
    this.#main.scrollTop = 0
  }

  /** @param {string} key @param {string} [message] @param {boolean} [isAnswered] */
  #openConversation(key, message, isAnswered = false) {
    app.view = "talk"
    app.conversation = key
    this.#writeAddress()
    this.#draw()
    void this.#talk.open(key, message).then(() => isAnswered && this.#talk.replyToSelected())
  }

  /** Opens the thread with an agent, which the server may not know yet. @param {string} agent */
  async #openThread(agent) {
    await attempt(async () => {
      const { conversation = agent } = await act("open", { agent })
      this.#openConversation(conversation)
      this.#talk.focus()
    })
  }

  /** The address says what is shown, so that a reload or another tab shows the same. */
  #writeAddress() {
    const hash = app.view === "talk" ? `#/talk/${encodeURIComponent(app.conversation)}` : `#/${app.view}`
    if (location.hash !== hash) history.replaceState(null, "", hash)
  }

  #readAddress() {
    const [, view = "talk", key] = location.hash.split("/")
    const known = views.find((each) => each === view) ?? "talk"
    if (known !== "talk") {
      this.#go(known)
      return
    }
    let conversation = app.conversation
    try {
      if (key !== undefined) conversation = decodeURIComponent(key)
    } catch {
      // An address that somebody typed; the conversation stays.
    }
    this.#openConversation(conversation)
  }

  /** @param {Need} need @param {boolean} [isAnswered] - true to begin an answer */
  #showNeed(need, isAnswered = false) {
    const { kind, conversation, message, deal, agent } = need
    if (deal !== undefined) {
      this.#go("work")
      this.#work.select(deal)
    } else if (kind === "guard") this.#go("guards")
    else if (kind === "task" || kind === "claims") this.#go("work")
    else if (conversation !== undefined) this.#openConversation(conversation, message, isAnswered)
    else if (agent !== undefined) {
      app.selected = agent
      this.#go("agents")
      this.#main.querySelector(`[data-id="${CSS.escape(agent)}"]`)?.scrollIntoView({ block: "center" })
    }
  }

  /** Jumps to the oldest entry of the lane, and with the next press to the one after it. */
  #nextNeed() {
    const { needs } = app.state
    if (needs.length === 0) notify(t("needs.none"))
    const lane = this.#needs.element
    const isInLane = lane.contains(document.activeElement)
    const at = isInLane ? needs.findIndex(({ id }) => id === this.#lastNeed) + 1 : 0
    const need = needs[at % needs.length]
    if (need === undefined) return
    this.#lastNeed = need.id
    this.#showNeed(need)
    const opener = lane.querySelector(`[data-need="${CSS.escape(need.id)}"]`)
    if (opener instanceof HTMLElement) opener.focus()
  }

  #nextUnread() {
    const unread = sortConversations(app.state.conversations).filter((each) => each.unread > 0)
    const [next] = unread.toSorted((a, b) => b.mentions - a.mentions)
    if (next === undefined) notify(t("unread.none"))
    else this.#openConversation(next.key)
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { target } = event
    const isTyping = target instanceof HTMLElement && target.matches("input, textarea, select, dialog *")
    const action = actionOfKey(event, isTyping)
    if (action === undefined || (this.#dialog.open && action !== "close")) return
    const isArrow = event.key.startsWith("Arrow")
    if (isArrow && app.view !== "talk") return
    const handle = this.#handlers[action]
    if (handle === undefined) return
    if (action !== "close") event.preventDefault()
    handle()
  }

  /** @type {Record<string, () => void>} */
  #handlers = {
    need: () => this.#nextNeed(),
    unread: () => this.#nextUnread(),
    talk: () => this.#go("talk"),
    agents: () => this.#go("agents"),
    work: () => this.#go("work"),
    guards: () => this.#go("guards"),
    down: () => this.#move(1),
    up: () => this.#move(-1),
    write: () => {
      if (app.view !== "talk") this.#go("talk")
      this.#talk.focus()
    },
    reply: () => this.#talk.replyToSelected(),
    thread: () => this.#talk.toggleThread(),
    search: () => this.#search.focus(),
    command: () => this.#openCommand(""),
    keys: () => showKeys(this.#dialog),
    close: () => this.#close(),
  }

  /** Moves through messages, or through the buttons of another view. @param {number} step */
  #move(step) {
    if (app.view === "talk") {
      this.#talk.move(step)
      return
    }
    const rows = [...this.#main.querySelectorAll("[aria-expanded], .found button, .guard button")]
    const at = rows.findIndex((row) => row === document.activeElement)
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + step))]
    if (next instanceof HTMLElement) next.focus()
  }

  #close() {
    this.#closeCommand()
    if (document.activeElement instanceof HTMLElement) document.activeElement.blur()
    if (app.view === "search") this.#go("talk")
  }

  /** @param {string} text */
  #runSearch(text) {
    if (text.trim() === "") return
    app.searched = text.trim()
    app.view = "search"
    this.#draw()
    void this.#found.search()
    this.#search.blur()
  }

  /** @param {string} text - what the field begins with */
  #openCommand(text) {
    this.#commandForm.hidden = false
    this.#command.setAttribute("aria-label", t("key.command"))
    this.#command.value = text
    this.#showUsage()
    this.#command.focus()
  }

  #closeCommand() {
    this.#commandForm.hidden = true
  }

  #showUsage() {
    const word = this.#command.value.trimStart().split(" ")[0] ?? ""
    const fitting = Object.entries(commandUsages).filter(([name]) => name.startsWith(word))
    this.#usage.textContent = fitting
      .map(([, usage]) => usage)
      .slice(0, 4)
      .join("   ·   ")
  }

  /** @param {string} line */
  async #runCommand(line) {
    const command = parseCommand(line)
    if (command.kind === "problem") {
      const { word, usage } = command
      notify(usage === undefined ? t("command.unknown", { word }) : t("command.usage", { usage }), true)
      return
    }
    this.#command.blur()
    if (command.kind === "conversation") {
      if (command.key.startsWith("@")) await this.#openThread(command.key)
      else this.#openConversation(command.key)
    } else if (command.kind === "view") this.#go(views.find((each) => each === command.view) ?? "talk")
    else if (command.kind === "language") await this.#setLanguage(command.language)
    else if (command.kind === "theme") setTheme(command.theme)
    else if (command.kind === "search") this.#runSearch(command.text)
    else if (command.kind === "help") showKeys(this.#dialog)
    else if (await attempt(() => act(command.action, command.body))) notify(t("done"))
  }

  /** @param {string} language */
  async #setLanguage(language) {
    rememberLanguage(language)
    await loadWords(language)
    this.#draw()
  }

  #turnTheme() {
    const isDark = getComputedStyle(document.documentElement).colorScheme === "dark"
    setTheme(isDark ? "light" : "dark")
  }
}

/** @param {unknown} data @returns {unknown} */
function parse(data) {
  return JSON.parse(String(data))
}

/** @param {boolean} isPrivate */
function signOf(isPrivate) {
  return h("span", { class: "sign", "aria-hidden": "true" }, isPrivate ? "◇" : "#")
}

/** @param {number} unread @param {number} mentions */
function unreadCount(unread, mentions) {
  const words = mentions > 0 ? t("unread.mentions", { n: unread, mentions }) : t("unread.some", { n: unread })
  const classes = mentions > 0 ? "count hot" : "count"
  return h("span", { class: classes, title: words, "aria-label": words }, number(unread))
}

/** @param {string} theme */
function setTheme(theme) {
  localStorage.setItem(themeKey, theme)
  if (theme === "auto") delete document.documentElement.dataset["theme"]
  else document.documentElement.dataset["theme"] = theme
}

await new Page().start()
