/** The hook that waits in the background of an idle Claude Code session, and starts a turn of it when it is rung. */
import { watchDirectory } from "../../daemon/files/file-tail.js"
import type { DaemonPaths, RootPaths } from "../../daemon/files/paths.js"
import { ringNonceIn } from "../../daemon/wake/echo.js"
import { type HookEvent, readEvent } from "../../harness/hooks/event.js"
import { rewakeTimeoutS } from "../../harness/install/claude.js"
import { isLive, readSession, type SessionRecord } from "../../harness/sessions.js"
import { RewakeTurn, type Rung } from "../../harness/wake/claude-rewake.js"
import type { Context } from "../context.js"
import { readUnread } from "./digest.js"
import { findHome, hintsOf, isForeign } from "./hook-run.js"
import { readPayload } from "./payload.js"

/** The exit status with which Claude Code shows the output to the model, and starts a turn of an idle session. */
const wokenStatus = 2
/** Milliseconds between two looks at what no file event reports. */
const lookMs = 1_000
/** Milliseconds in which the other hook of the same event writes the record of a new session. */
const recordMs = 10_000
/** Milliseconds after which the wait ends, before the harness ends it. */
const timeoutMs = (rewakeTimeoutS - 60) * 1_000

/**
 * Waits until the daemon rings the session, and prints the ring and what is unread.
 * @returns exit status 2 then, 0 if the session went on or ended first
 */
export async function runRewake(context: Context, name: string): Promise<number> {
  const { clock, env, system } = context
  const payload = await readPayload(context)
  const event = readEvent("claude", name, payload ?? {}, env)
  const { session, cwd = system.cwd } = event
  // A session with an inbox socket is reached through that.
  if (session === undefined || event.door.socket !== undefined || !isOwn(context, event)) return 0
  const root = findHome(context, event, cwd)
  if (root === undefined) return 0
  const turn = new RewakeTurn(root, session, system.pid)
  const ring = await waitForRing(context, { root, session, turn })
  const record = readSession(root, session)
  if (ring === undefined || record === undefined) return 0
  const shown = await show(context, ring, { paths: root.instance(record.agent), record })
  turn.recordRung({ nonce: ringNonceIn(ring) ?? "", ...shown }, clock.now())
  return wokenStatus
}

/** Prints a ring and what is unread. @returns the lines that were shown */
async function show(
  context: Context,
  ring: string,
  { paths, record: { agent, announced } }: { readonly paths: DaemonPaths; readonly record: SessionRecord },
): Promise<Omit<Rung, "nonce">> {
  const { io, clock } = context
  const hintOptions = hintsOf(context, agent)
  const unread = readUnread(paths, { announced, nowMs: clock.now(), hintOptions })
  const digest = await unread?.render()
  io.out([ring, ...(digest === undefined ? [] : [digest.text])].join("\n"))
  await io.flush()
  return { seqs: digest?.shown ?? [], newest: unread?.newest ?? announced }
}

function isOwn(context: Context, event: HookEvent): boolean {
  return !event.isSubagent && !isForeign(context, event)
}

interface Wait {
  readonly root: RootPaths
  readonly session: string
  readonly turn: RewakeTurn
}

/** @returns undefined if the session went on or ended, a newer hook waits, or the time is over */
async function waitForRing(context: Context, wait: Wait): Promise<string | undefined> {
  const { clock, system } = context
  const { root, turn } = wait
  const interruption = system.interruption()
  const isOver = endOf(context, wait)
  let look = () => {}
  const unwatch = watchDirectory(root.sessions, () => look())
  interruption.addEventListener("abort", () => look())
  try {
    while (!interruption.aborted && !isOver()) {
      const ring = turn.takeRing()
      if (ring !== undefined) return ring
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(resolve, lookMs)
        look = () => {
          timer.cancel()
          resolve()
        }
      })
    }
    if (interruption.aborted) turn.close()
    return undefined
  } finally {
    unwatch()
  }
}

/** Returns a function that reports whether the wait is over. */
function endOf({ clock, system }: Context, { root, session, turn }: Wait): () => boolean {
  const [startedTs, startedMs, parent] = [clock.now(), clock.monotonic(), system.parentPid()]
  return () => {
    if (!turn.isNewest) return true
    const record = readSession(root, session)
    // After its turn the next hook begins.
    if (record?.state === "working" && record.event_at >= startedTs) return true
    const passedMs = clock.monotonic() - startedMs
    const isThere = record === undefined ? passedMs < recordMs : isLive(record)
    if (isThere && system.parentPid() === parent && passedMs < timeoutMs) return false
    turn.close()
    return true
  }
}
