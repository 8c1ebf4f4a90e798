/** Checks for each harness: is it joined, have its hooks run, can its sessions be woken? */
import { rootPaths } from "../../daemon/files/paths.js"
import { type DaemonStatus, readStatus } from "../../daemon/status.js"
import { HARNESSES, type Harness } from "../../harness/harness.js"
import { isPresent } from "../../harness/install/detect.js"
import { type Plan, planInstall } from "../../harness/install/plan.js"
import { type InstallRecord, readRecord } from "../../harness/install/record.js"
import type { FileRequest, HarnessSpec, Scope } from "../../harness/install/spec.js"
import { harnessSpecs } from "../../harness/install/specs.js"
import { listSessions, type SessionRecord } from "../../harness/sessions.js"
import type { Context } from "../context.js"
import { fileRequest } from "../harness/install-request.js"
import { formatAge } from "../output/time.js"
import type { Check } from "./check.js"

/** Facts about a harness; times in milliseconds since the Unix epoch. */
interface HarnessState {
  readonly harness: Harness
  readonly present: boolean
  readonly installed: "yes" | "no" | "partly"
  /** The event of a hook of it that ran last in this home. */
  readonly last_event: { readonly event: string; readonly ts: number } | null
  /** The last proof that a session of it was woken, and how. */
  readonly last_wake: { readonly method: string; readonly latency_ms: number; readonly ts: number } | null
}

/** A harness as checked. */
export interface HarnessCheck {
  readonly state: HarnessState
  readonly check: Check
}

/** @throws {ChatError} NOT_FOUND without a home directory; FILE_FAILED for the record of install or of a session */
export function checkHarnesses(context: Context): HarnessCheck[] {
  const request = fileRequest(context, "user", undefined)
  const record = readRecord(request.places)
  const sessions = listSessions(rootPaths(context.config.home))
  return HARNESSES.map((name) => {
    const spec = harnessSpecs[name]
    const own = sessions.filter(({ harness }) => harness === name)
    const { installed, problem } = installation(spec, request, record)
    const [last] = own
    const state: HarnessState = {
      harness: name,
      present: isPresent(spec, request.places, context.system.searchPath),
      installed,
      last_event: last === undefined ? null : { event: last.event, ts: last.event_at },
      last_wake: lastWake(context, own),
    }
    return { state, check: describe(spec, state, problem, context.clock.now()) }
  })
}

/** Compares the files with what install would write. */
function installation(
  spec: HarnessSpec,
  request: FileRequest,
  record: InstallRecord,
): { installed: HarnessState["installed"]; problem: string | undefined } {
  const modes = (["user", "project"] as const satisfies readonly Scope[]).flatMap((scope) =>
    ([undefined, "warn", "block"] as const).map((claims) => ({ ...request, scope, claims })),
  )
  const plans = modes.flatMap((one) =>
    one.scope === "project" && spec.noProject !== undefined ? [] : [planInstall(spec, one, record)],
  )
  const isComplete = ({ changes, problems }: Plan) => changes.length === 0 && problems.length === 0
  if (plans.some(isComplete)) return { installed: "yes", problem: undefined }
  const [problem] = plans[0]?.problems ?? []
  const isRecorded = [...record.files.values()].some(({ harnesses }) => harnesses.includes(spec.name))
  const text = problem === undefined ? undefined : `${problem.path ?? spec.name}: ${problem.message}`
  return { installed: isRecorded ? "partly" : "no", problem: text }
}

/** Returns the newest proof among the agents of some sessions. */
function lastWake({ config }: Context, sessions: readonly SessionRecord[]): HarnessState["last_wake"] {
  const root = rootPaths(config.home)
  const proofs = [...new Set(sessions.map(({ agent }) => agent))].flatMap((agent) => {
    // Older daemons do not write it.
    const status: Partial<DaemonStatus> | undefined = readStatus(root.instance(agent).status)
    const proven = status?.wake?.proven ?? undefined
    if (proven === undefined) return []
    return [{ method: proven.method, latency_ms: proven.latency_ms, ts: proven.proven_ts }]
  })
  return proofs.sort((a, b) => b.ts - a.ts)[0] ?? null
}

function describe(spec: HarnessSpec, state: HarnessState, problem: string | undefined, nowMs: number): Check {
  const { harness: what, present, installed, last_event, last_wake } = state
  const install = `agentchat install --harness ${what}`
  if (installed !== "yes" && !present) return { level: "off", what, text: "not here" }
  if (problem !== undefined) return { level: "bad", what, text: problem, fix: `${install} --dry-run` }
  if (installed === "no") return { level: "warn", what, text: "here, and not joined", fix: install }
  const fired =
    last_event === null
      ? "no hook has run here yet"
      : `last hook ${last_event.event}, ${formatAge(last_event.ts, nowMs)}`
  if (installed === "partly") {
    return {
      level: "bad",
      what,
      text: `joined in part, or by another copy of agentchat; ${fired}`,
      fix: install,
    }
  }
  const woken =
    spec.facts.wake === "none"
      ? "reads at its next hook"
      : last_wake === null
        ? "not woken yet"
        : `woken by ${last_wake.method} ${formatAge(last_wake.ts, nowMs)}, in ${last_wake.latency_ms} ms`
  const text = `joined; ${fired}; ${woken}`
  if (last_event !== null) return { level: "ok", what, text }
  const start = `start ${spec.programs[0] ?? what} in this directory`
  const fix = spec.afterInstall === undefined ? start : `${start}; ${spec.afterInstall}`
  return { level: "warn", what, text, fix }
}
