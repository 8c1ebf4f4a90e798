/**
 * Answers one event of a harness: binds the session to its agent, passes its state on, and gives the model what is
 * unread. Whatever goes wrong, the harness gets an answer that changes nothing.
 */
import { existsSync } from "node:fs"
import { isAbsolute } from "node:path"
import { completeHint, type HintOptions, shellWord } from "../../base/command-hint.js"
import { appendPlain } from "../../base/files.js"
import { omitUndefined, stackOf } from "../../base/plain.js"
import { ensureHome, openHome } from "../../daemon/files/home.js"
import { type DaemonPaths, type RootPaths, rootPaths } from "../../daemon/files/paths.js"
import { isSameProcess, type ProcessRecord } from "../../daemon/files/process-record.js"
import { readHolder } from "../../daemon/process/pid-file.js"
import { confirmRing, ringNonceIn } from "../../daemon/wake/echo.js"
import { harnessProcess } from "../../harness/ancestors.js"
import { HARNESSES, type Harness } from "../../harness/harness.js"
import {
  doors,
  formatAnswer,
  type HookAnswer,
  type HookOutput,
  sessionVariable,
  takesContext,
} from "../../harness/hooks/answers.js"
import { type HookEvent, type HookKind, readEvent } from "../../harness/hooks/event.js"
import { claimFiring } from "../../harness/hooks/firings.js"
import { agentName, recordAfter } from "../../harness/hooks/steps.js"
import {
  listSessions,
  readSession,
  rungFile,
  type SessionRecord,
  writeSession,
} from "../../harness/sessions.js"
import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, nickPattern } from "../../protocol/names.js"
import { type Config, mergeConfig } from "../config.js"
import type { Context, Io } from "../context.js"
import { readUnread, readUpTo, takeAsHook, type Unread } from "./digest.js"
import { readPayload } from "./payload.js"
import {
  endLostSessions,
  knownRelay,
  reportState,
  startSessionDaemon,
  stopSessionDaemon,
} from "./session-daemon.js"

/** A call of `agentchat hook`, as it was on the command line, unvalidated. */
export interface HookRequest {
  readonly harness: string
  /** The harness's own name of the event. */
  readonly name: string
  /** `block` denies an edit of a claimed path, any other text is a warning; undefined for neither. */
  readonly claims?: string | undefined
  /** True to wait in the background. */
  readonly isRewake: boolean
}

/**
 * @returns exit status 0: several harnesses refuse a tool call or a prompt after any other
 * @throws {ChatError} USAGE for an unknown harness; {@link answerFailure} follows
 */
export async function runHook(
  context: Context,
  { harness: named, name, claims }: Omit<HookRequest, "isRewake">,
): Promise<number> {
  const harness = HARNESSES.find((known) => known === named)
  if (harness === undefined) {
    throw new ChatError("USAGE", `--harness: ${JSON.stringify(named)} is none of ${HARNESSES.join(", ")}`)
  }
  const payload = await readPayload(context)
  const event = readEvent(harness, name, payload ?? {}, context.env)
  if (payload === undefined) {
    print(context, formatAnswer(event))
    return 0
  }
  const { output, confirm } = await answerOf(context, event, claims).catch((error: unknown): Answer => {
    noteFailure(context, error)
    return { output: formatAnswer(event) }
  })
  print(context, output)
  // Lines count as read only after the write, because a broken pipe loses them.
  await context.io
    .flush()
    .then(() => confirm?.())
    .catch((error: unknown) => noteFailure(context, error))
  return 0
}

/** The output of a hook, and the facts to record once it is written. */
interface Answer {
  readonly output: HookOutput
  readonly confirm?: () => void
}

function noteFailure({ io }: Context, error: unknown): void {
  io.note(error instanceof ChatError ? error.message : stackOf(error))
}

/**
 * Answers a hook whose command line cannot be read, such as one of another version of this program.
 * @returns exit status 0
 */
export function answerFailure(io: Pick<Io, "json" | "out">, argv: readonly string[]): number {
  const words = argv.flatMap((word) => word.split("="))
  const harness = HARNESSES.find((known) => known === words[words.indexOf("--harness") + 1])
  print({ io }, harness === undefined ? {} : formatAnswer(readEvent(harness, argv[1] ?? "", {}, {})))
  return 0
}

function print({ io }: { readonly io: Pick<Io, "json" | "out"> }, output: HookOutput): void {
  if (typeof output !== "string") io.json(output)
  else if (output !== "") io.out(output)
}

async function answerOf(context: Context, event: HookEvent, claims: string | undefined): Promise<Answer> {
  // Before the visit, which answers no second call of the same kind and no subagent.
  const conflict =
    claims === undefined || event.kind !== "before-tool" ? undefined : await conflictOf(context, event)
  const answer = await answerVisit(context, event)
  if (conflict === undefined) return answer
  return { output: formatAnswer(event, claims === "block" ? { deny: conflict } : asContext(event, conflict)) }
}

async function conflictOf(context: Context, event: HookEvent): Promise<string | undefined> {
  const { session, cwd = context.system.cwd } = event
  const root = session === undefined ? undefined : findHome(context, event, cwd)
  const record = root === undefined || session === undefined ? undefined : readSession(root, session)
  if (root === undefined || record === undefined) return undefined
  const paths = root.instance(record.agent)
  const nowMs = context.clock.now()
  if (readHolder(paths.record, nowMs) === undefined) return undefined
  const { describeConflict } = await import("./claim-check.js")
  const hintOptions = hintsOf(context, record.agent)
  return describeConflict(paths, event, { cwd, nowMs, hintOptions })
}

/** Returns the options without which a command of the session would be about another agent. */
export function hintsOf({ config }: Context, name: InstanceName): HintOptions {
  return { name, home: config.hintOptions.home }
}

async function answerVisit(context: Context, event: HookEvent): Promise<Answer> {
  const visit = openVisit(context, event)
  if (visit === undefined || typeof visit === "string") {
    return { output: formatAnswer(event, asContext(event, visit)) }
  }
  if (event.kind !== "end") return give(context, event, await joinRelay(context, event, visit))
  await endSession(context, event, visit)
  return { output: formatAnswer(event) }
}

/** One event of a session in a home that exists. */
interface Visit {
  readonly root: RootPaths
  /** The record of the session with this event. */
  readonly record: SessionRecord
  /** Its record so far; undefined for a session that is new here. */
  readonly before: SessionRecord | undefined
}

/** @returns undefined if there is nothing to do; a text for the model if the directory has no home */
function openVisit(context: Context, event: HookEvent): Visit | string | undefined {
  const { system, clock } = context
  if (event.isSubagent || isForeign(context, event)) return undefined
  const process = harnessProcess(system.parentPid())
  const { session, cwd = system.cwd } = event
  if (session === undefined) return undefined
  const agent = chooseName(context, event.harness, cwd, session)
  const root = findHome(context, event, cwd)
  if (root === undefined) return event.kind === "start" ? howToJoin(agent) : undefined
  const before = readSession(root, session)
  if (isNotOurs(root, event, { session, before }, clock.now())) return undefined
  const heir = before ?? predecessor(root, event, process)
  return {
    root,
    before,
    record: recordAfter(before, heir, event, { session, agent, cwd, nowMs: clock.now(), process }),
  }
}

/** Cursor runs the hooks of Claude Code's settings too, and has hooks of its own. */
export function isForeign({ env }: Context, { harness }: HookEvent): boolean {
  return harness === "claude" && (env["CURSOR_VERSION"] ?? "") !== ""
}

/** A name of the environment counts for the sessions that are started in it. */
function chooseName({ env }: Context, harness: Harness, cwd: string, session: string): InstanceName {
  const { AGENTCHAT_NAME: named = "" } = env
  return nickPattern.test(named) ? (named as InstanceName) : agentName(harness, cwd, session)
}

/** @returns undefined if the directory has no home and no relay is known for it */
export function findHome(context: Context, { kind }: HookEvent, cwd: string): RootPaths | undefined {
  const { home, server, uid } = configOf(context, cwd)
  if (!existsSync(home)) {
    if (kind !== "start" || server === undefined) return undefined
    ensureHome(rootPaths(home))
  }
  return openHome(home, uid)
}

/** The harness may run the hook in another directory than that of the session. */
function configOf({ config, env }: Context, cwd: string): Config {
  const isNamed = config.hintOptions.home !== undefined || (env["AGENTCHAT_HOME"] ?? "") !== ""
  return isNamed ? config : mergeConfig({ json: false, quiet: true, home: undefined }, env, cwd, config.uid)
}

/**
 * Reports whether the event was handled by another firing or by the harness to which the session belongs, or is of a
 * session that has not begun here.
 */
function isNotOurs(
  root: RootPaths,
  { harness, kind, firing }: HookEvent,
  { session, before }: { readonly session: string; readonly before: SessionRecord | undefined },
  nowMs: number,
): boolean {
  if (before === undefined && kind !== "start" && kind !== "prompt") return true
  // Others read the configuration of Claude Code, and it reads none of theirs.
  if (harness === "claude" && before !== undefined && before.harness !== harness) return true
  return !claimFiring(root, session, firing, nowMs)
}

/** Returns the session that goes on under another id because its user cleared its history. */
function predecessor(
  root: RootPaths,
  { harness, kind, cause }: HookEvent,
  process: ProcessRecord | undefined,
): SessionRecord | undefined {
  if (kind !== "start" || cause !== "clear" || process === undefined) return undefined
  return listSessions(root).find(
    (other) =>
      other.harness === harness && other.process !== undefined && isSameProcess(other.process, process),
  )
}

async function endSession(context: Context, { cause }: HookEvent, { root, record }: Visit): Promise<void> {
  const paths = root.instance(record.agent)
  // After "clear" the next session of the process goes on as the same agent.
  const isLeaving = cause !== "clear" && readHolder(paths.record, context.clock.now()) !== undefined
  if (isLeaving && record.owns_daemon) await stopSessionDaemon(context, root, record)
  const isReported = isLeaving && !record.owns_daemon
  writeSession(root, isReported ? withReport(context, paths, record) : record)
}

function withReport(context: Context, paths: DaemonPaths, record: SessionRecord): SessionRecord {
  return { ...record, ...omitUndefined({ reported: reportState(context, paths, record) }) }
}

/** A visit after its agent has joined, or tried to. */
interface Presence extends Visit {
  readonly isRunning: boolean
  /** Says which agent the session is. */
  readonly greeting: string
}

/** Starts the daemon of a session that begins, if it does not run and a relay is known. */
async function joinRelay(context: Context, event: HookEvent, visit: Visit): Promise<Presence> {
  const { root, record, before } = visit
  const { agent } = record
  const isRunning = readHolder(root.instance(agent).record, context.clock.now()) !== undefined
  const isBeginning = event.kind === "start" || before === undefined || before.state === "ended"
  if (isBeginning) {
    exportSession(context, event, record)
    await endLostSessions(context, root)
  }
  const announced = await takeEcho(context, event, visit)
  const server = isBeginning && !isRunning ? knownRelay(context, root) : undefined
  // A daemon that an earlier hook of the session has started may still be on its way.
  const isOnRelay = isRunning || server !== undefined || record.owns_daemon
  const greeting = isOnRelay ? whoIs(context, record) : howToJoin(agent)
  if (server === undefined) return { ...visit, record: { ...record, announced }, isRunning, greeting }
  await startSessionDaemon(context, root, agent, server)
  const { reported: _reported, ...rest } = record
  return { ...visit, record: { ...rest, announced, owns_daemon: true }, isRunning, greeting }
}

/** Returns the number of the ring that the event shows to have woken the session. @returns the newest announced line */
async function takeEcho(context: Context, event: HookEvent, { root, record }: Visit): Promise<number> {
  const { agent, session, announced } = record
  const paths = root.instance(agent)
  const confirm = (nonce: string) => confirmRing(paths, nonce, context.clock.now())
  const nonce = ringNonceIn(event.prompt)
  if (nonce !== undefined) confirm(nonce)
  if (event.harness !== "claude" || !existsSync(rungFile(root, session))) return announced
  const { takeRung } = await import("../../harness/wake/claude-rewake.js")
  const rung = takeRung(root, session, event)
  if (rung === undefined) return announced
  confirm(rung.nonce)
  takeAsHook(paths, rung.seqs)
  return Math.max(announced, rung.newest)
}

/** Lets commands that the agent runs find its session: Claude Code runs this file before each of them. */
function exportSession(context: Context, { harness }: HookEvent, { session }: SessionRecord): void {
  const { CLAUDE_ENV_FILE: path = "" } = context.env
  if (harness !== "claude" || !isAbsolute(path)) return
  try {
    appendPlain(path, `export ${sessionVariable}=${shellWord(session)}\n`)
  } catch (error) {
    noteFailure(context, error)
  }
}

function whoIs(context: Context, { agent, harness }: Pick<SessionRecord, "agent" | "harness">): string {
  const command = (text: string) => completeHint(text, hintsOf(context, agent))
  const who = `agentchat: this session is agent ${agent}; other agents reach it as @${agent}, and it writes with: ${command("agentchat send TARGET TEXT")}`
  if (doors[harness].notification === undefined) return who
  return `${who}\nagentchat: a message starts a turn of this session while this runs in a background shell: ${command("agentchat wait")}`
}

function howToJoin(agent: InstanceName): string {
  return `agentchat: this session is on no relay; it joins as @${agent} with: agentchat daemon --background --name ${agent}`
}

/** Returns what the event may show the model. */
function unreadFor(context: Context, event: HookEvent, presence: Presence): Unread | undefined {
  const { root, record } = presence
  if (!maySpeak(event, presence)) return undefined
  const isAfterWait = event.kind === "notification"
  const unread = readUnread(root.instance(record.agent), {
    announced: record.announced,
    nowMs: context.clock.now(),
    hintOptions: hintsOf(context, record.agent),
    isAfterWait,
  })
  // Nothing but what is meant for the agent goes into a turn that is under way, or starts one.
  const isAsked = isAfterWait || event.kind === "start" || event.kind === "prompt"
  return isAsked || unread?.isAddressed === true ? unread : undefined
}

function maySpeak({ harness, kind, mayContinue }: HookEvent, { record, before }: Presence): boolean {
  const door = doors[harness][kind]
  if (door === "resume") return mayContinue && before?.continued !== true
  // A notification starts a turn of an idle session: only the end of a `wait` that it left running is worth one.
  if (kind === "notification") return door !== undefined && record.state === "idle"
  // Cursor sends the context of the start with every request.
  return door !== undefined && !(harness === "cursor" && kind === "start")
}

/** Records the event, and returns the answer to it. */
async function give(context: Context, event: HookEvent, presence: Presence): Promise<Answer> {
  const { root, isRunning, before } = presence
  const { kind } = event
  const door = doors[event.harness][kind]
  const unread = isRunning ? unreadFor(context, event, presence) : undefined
  const isResumed = unread !== undefined && door === "resume"
  const isGreeted = door === "context" && (kind === "start" || before?.greeted !== true)
  const record = keepRecord(context, presence, kind, { isResumed, isGreeted })
  const digest = await unread?.render()
  const texts = [isGreeted ? presence.greeting : undefined, digest?.text]
  const text = texts.filter((part) => part !== undefined).join("\n")
  return {
    output: formatAnswer(event, isResumed ? { resume: text } : asContext(event, text)),
    confirm: () => {
      if (unread === undefined || digest === undefined) return
      unread.confirm(digest.shown)
      writeSession(root, { ...record, announced: unread.newest })
    },
  }
}

/** Writes the record of the session, and passes its state to the daemon. @returns the record */
function keepRecord(
  context: Context,
  { root, record, isRunning }: Presence,
  kind: HookKind,
  { isResumed, isGreeted }: { readonly isResumed: boolean; readonly isGreeted: boolean },
): SessionRecord {
  // Lines read before the end of a turn are no news of a `wait` in the background.
  const isWaited = kind === "stop" && doors[record.harness].notification !== undefined
  const read = isWaited ? readUpTo(root.instance(record.agent)) : 0
  const after: SessionRecord = {
    ...record,
    announced: Math.max(record.announced, read),
    ...(isResumed && { state: "working" }),
    greeted: isGreeted || record.greeted,
    continued: isResumed || (record.continued && kind !== "stop"),
  }
  const reported = isRunning ? withReport(context, root.instance(after.agent), after) : after
  writeSession(root, reported)
  return reported
}

function asContext(event: HookEvent, text = ""): HookAnswer {
  return text !== "" && takesContext(event) ? { context: text } : {}
}
