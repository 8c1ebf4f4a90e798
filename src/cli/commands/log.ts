import { closeSync, openSync, rmSync } from "node:fs"
import { resolve } from "node:path"
import { delay } from "../../base/clock.js"
import { completeHint } from "../../base/command-hint.js"
import { writeAll } from "../../base/files.js"
import { RecentMap } from "../../base/recent-map.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { searchLength } from "../../protocol/limits.js"
import { defineCommand, flag, optional, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { interruptedStatus, orAborted, reportSuccess } from "../exit-status.js"
import { agentRef, channel, closeChoice, pastTime, someText, textUpTo, wholeNumber } from "../input/values.js"
import {
  askRelay,
  findAll,
  findNewest,
  followLines,
  inboxOf,
  type LogMessage,
  type LogQuery,
  type LogResult,
  type LogSource,
  searchedKinds,
} from "../log/log-query.js"
import { makeRedaction, type Redact } from "../log/redaction.js"
import { formatMessage, makeColors } from "../output/message-text.js"
import { BoundedLines, note } from "../output/reading.js"
import { requestOptions } from "../relay/relay-request.js"

const verbs = ["export", "verify"] as const
const defaultLast = 20
/** Milliseconds between two questions to a relay that is followed without a daemon. */
const pollMs = 1_000
/** Messages remembered to print none twice. */
const printedKept = 1_000

const { compat: _compat, ...withoutCompat } = requestOptions

export const log = defineCommand({
  args: {
    verb: optional(`${verbs.join(", ")} (default: search)`, closeChoice(verbs), verbs),
    file: optional("verify: the file to check", someText, "file"),
  },
  options: {
    grep: value("TEXT", 'words to find, in any order; "in quotes" as written', textUpTo(searchLength)),
    from: value("@AGENT", "only what an agent sent", agentRef),
    in: value("#CHANNEL", "only messages of a channel", channel),
    thread: value("ID", "only the conversation around a message (its msg_id)", someText),
    kind: value(
      "KIND",
      "only of a kind, such as request, task or deal",
      closeChoice(searchedKinds),
      searchedKinds,
    ),
    since: value("TIME", "not before: 2h ago, or 2026-11-30, or 2026-11-30T09:00Z", pastTime),
    until: value("TIME", "before", pastTime),
    last: value("N", `at most N messages, the newest (default ${defaultLast})`, wholeNumber(1, 10_000)),
    follow: flag("then print new messages until interrupted"),
    local: flag("search only this agent's inbox"),
    render: flag("print for a model, as inbox does"),
    redact: repeated("PATTERN", "print [redacted] for a text; * stands for a run", someText),
    chain: value("FILE", "export: JSON lines that verify checks", someText, "file"),
    html: value("FILE", "export: one web page", someText, "file"),
    ...withoutCompat,
  },
  takesUrl: true,
  examples: [
    "agentchat log --grep 'port 8080' --since 2h",
    "agentchat log --in '#build' --from @bob --last 50",
    "agentchat log export --chain day.jsonl --since 24h --redact 'sk-*'",
  ],
  async run(context, input) {
    const { args, options } = input
    refuseMixed(context, args.verb, args.file, options)
    if (args.verb === "verify") return verify(context, args.file)
    const now = context.clock.now()
    const { grep: text, from, in: channel, thread, kind, since, until } = options
    const query = { text, from, channel, thread, kind, since: since?.(now), until: until?.(now) }
    const choice = { url: input.url, options: { ...options, compat: false } }
    const source = { context, choice, isLocal: options.local }
    const redact = makeRedaction(options.redact ?? [])
    if (args.verb === "export") return exportLog(source, query, { ...options, redact })
    const signal = options.follow ? context.system.interruption() : undefined
    const result = await findNewest(source, query, options.last ?? defaultLast)
    const printer = await Printer.open(context, options.render, redact)
    printer.print(result)
    if (signal === undefined) return 0
    await follow(source, query, { result, printer, signal })
    return interruptedStatus(signal)
  },
})

interface LogOptions {
  readonly chain: string | undefined
  readonly html: string | undefined
  readonly follow: boolean
  readonly render: boolean
  readonly thread: string | undefined
  readonly until: ((nowMs: number) => number) | undefined
  readonly last: number | undefined
}

/** @throws {ChatError} USAGE for options that do not belong together */
function refuseMixed(
  { config }: Context,
  verb: (typeof verbs)[number] | undefined,
  file: string | undefined,
  options: LogOptions,
): void {
  const { chain, html, follow, render, thread, until, last } = options
  const isExport = verb === "export"
  const targets = [chain, html].filter((target) => target !== undefined).length
  const rules: readonly (readonly [isBroken: boolean, message: string])[] = [
    [verb === "verify" && file === undefined, "FILE: is missing; write agentchat log verify FILE"],
    [verb !== "verify" && file !== undefined, "FILE: only with verify; to export, write --chain FILE"],
    [isExport && targets !== 1, "export: write --chain FILE or --html FILE"],
    [!isExport && targets > 0, "--chain and --html: only with export"],
    [isExport && (last !== undefined || follow), "--last and --follow: not with export"],
    [follow && (thread ?? until) !== undefined, "--follow: not with --thread or --until"],
    [render && config.json, "--render and --json are mutually exclusive"],
  ]
  const broken = rules.find(([isBroken]) => isBroken)
  if (broken !== undefined) throw new ChatError("USAGE", broken[1])
}

/** Prints messages as text, as JSON lines, or for a model. */
class Printer {
  readonly #context: Context
  readonly #redact: Redact
  readonly #format: typeof import("../output/render.js") | undefined
  readonly #printed = new RecentMap<true>(printedKept)
  #hasPreface = false

  private constructor(context: Context, redact: Redact, format: Printer["format"]) {
    this.#context = context
    this.#redact = redact
    this.#format = format
  }

  static async open(context: Context, isRendered: boolean, redact: Redact): Promise<Printer> {
    return new Printer(context, redact, isRendered ? await import("../output/render.js") : undefined)
  }

  get format() {
    return this.#format
  }

  /** Prints what was found, of text as much as fits the context of a model. */
  print({ messages, hasMore, isPartial }: LogResult): void {
    const { io, config } = this.#context
    if (config.json) for (const message of messages) this.printNew(message)
    else {
      const lines = new BoundedLines(undefined, "newest")
      for (const message of messages) lines.add({ seq: 0, text: this.#take(message) })
      for (const text of lines.texts) this.#out(text)
      const omitted = lines.omitted?.count ?? 0
      if (omitted > 0 || hasMore)
        io.out(
          note(
            { colors: makeColors(io.hasColor) },
            "older messages are left out; narrow the search, or see --last",
          ),
        )
    }
    if (messages.length === 0) io.note("no message was found")
    if (isPartial) io.note("the relay has searched only a part of its messages, the newest: see doc/log.md")
  }

  /** Prints a message unless it was printed. */
  printNew(message: LogMessage): void {
    const id = message["msg_id"]
    if (typeof id === "string" && this.#printed.get(id) !== undefined) return
    const text = this.#take(message)
    this.#out(text)
  }

  #take(message: LogMessage): string {
    const { config, io, clock } = this.#context
    const id = message["msg_id"]
    if (typeof id === "string") this.#printed.set(id, true)
    const shown = this.#redact(message)
    if (config.json) return formatJsonLine(shown)
    if (this.#format !== undefined) return this.#format.renderMessage(shown)
    const commandFor = (seq: number) => completeHint(`agentchat inbox --show ${seq}`, config.hintOptions)
    return formatMessage(shown, { colors: makeColors(io.hasColor), nowMs: clock.now(), commandFor })
  }

  #out(text: string): void {
    if (this.#format !== undefined && !this.#hasPreface) this.#context.io.out(this.#format.preface)
    this.#hasPreface = true
    this.#context.io.out(text)
  }
}

interface Following {
  readonly result: LogResult
  readonly printer: Printer
  readonly signal: AbortSignal
}

/** Prints new messages: those of the daemon's inbox, or without a daemon those of the relay. */
async function follow(
  source: LogSource,
  query: LogQuery,
  { result, printer, signal }: Following,
): Promise<void> {
  const paths = inboxOf(source.context, source.choice)
  if (paths === undefined) return followRelay(source, query, { result, printer, signal })
  const lines = followLines(source, paths, query, { seq: result.seq ?? 0, signal })
  for await (const line of lines) printer.printNew(line)
}

async function followRelay(
  source: LogSource,
  query: LogQuery,
  { result, printer, signal }: Following,
): Promise<void> {
  let { end: after = 0 } = result
  while (await waitOne(source.context, signal)) {
    const page = await askRelay(source, query, { limit: 200, after })
    if (page === undefined) continue
    for (const message of page.list) printer.printNew({ ...message, seq: undefined })
    after = page.more === true ? page.next : page.end
  }
}

function waitOne({ clock }: Context, signal: AbortSignal): Promise<boolean> {
  return orAborted(delay(clock, pollMs), signal)
}

interface ExportOptions {
  readonly chain: string | undefined
  readonly html: string | undefined
  readonly redact: Redact
}

async function exportLog(
  source: LogSource,
  query: LogQuery,
  { chain, html, redact }: ExportOptions,
): Promise<number> {
  const { context } = source
  const { messages, isPartial } = await findAll(source, query)
  const shown = messages.map((message) => ({ ...redact(message), seq: undefined }))
  const redacted = shown.filter((message) => "redacted" in message).length
  if (isPartial) context.io.note("the relay has searched only a part of its messages: see doc/log.md")
  const created = context.clock.now()
  if (html !== undefined) {
    const { htmlPage } = await import("../log/html-page.js")
    const title = query.channel ?? "messages"
    await writeOut(context, html, htmlPage(title, created, shown))
    return reportExport(context, html, { count: shown.length, redacted })
  }
  const { chainLines } = await import("../log/chain.js")
  let hash = ""
  const head = { created, redacted, filter: JSON.parse(JSON.stringify(query)) as object }
  function* lines() {
    for (const line of chainLines(head, shown)) {
      hash = line.hash
      yield `${formatJsonLine(line)}\n`
    }
  }
  await writeOut(context, chain ?? "-", lines())
  return reportExport(context, chain ?? "-", { count: shown.length, redacted, hash })
}

interface Exported {
  readonly count: number
  readonly redacted: number
  readonly hash?: string
}

function reportExport(context: Context, file: string, { count, redacted, hash }: Exported): number {
  if (file === "-") return 0
  const facts = { file, count, redacted, ...(hash !== undefined && { hash }) }
  const end = hash === undefined ? "" : `; the last line has the hash ${hash}`
  const masked = redacted === 0 ? "" : `, ${redacted} of them redacted`
  return reportSuccess(context, facts, `${count} messages${masked}${end}`)
}

/** Writes a new file, or to standard output. @throws {ChatError} FILE_FAILED if the file exists */
async function writeOut({ io, system }: Context, file: string, parts: Iterable<string>): Promise<void> {
  if (file === "-") {
    for (const part of parts) {
      io.out(part.replace(/\n$/, ""))
      await io.flush()
    }
    return
  }
  const path = resolve(system.cwd, file)
  let fd: number
  try {
    fd = openSync(path, "wx", 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error
    throw new ChatError("FILE_FAILED", `${file}: exists, and nothing is overwritten`, {
      hint: "name another file",
    })
  }
  try {
    for (const part of parts) writeAll(fd, Buffer.from(part))
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(fd)
  }
}

async function verify(context: Context, file: string | undefined): Promise<number> {
  const { checkChain } = await import("../log/chain.js")
  const { faults, count, hash } = checkChain(resolve(context.system.cwd, file ?? ""))
  if (faults.length > 0) throw new ChatError("VERIFICATION_FAILED", `${file ?? ""}: ${faults.join("; ")}`)
  const facts = { count, hash }
  return reportSuccess(
    context,
    facts,
    `${count} messages, none altered, missing or out of order; last hash ${hash}`,
  )
}
