import { omitUndefined } from "../../base/plain.js"
import { AppendLog } from "../../daemon/files/append-log.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { ReachedStage } from "./delivery.js"

/** A message of the daemon, and the stages that its recipient has reported, in order. */
export interface SentMessage {
  readonly msg_id: string
  readonly stages: readonly Pick<ReachedStage, "state" | "ts" | "method">[]
}

/** Bytes of acks.jsonl that are read, and messages returned: the newest. */
const readBytes = 1024 * 1024
const maxMessages = 10

/** Stages that a recipient reports, in order. */
const reported: readonly unknown[] = ["mirrored", "rung", "retrieved", "in_context"]

/**
 * Returns the newest messages of a daemon that have arrived at an agent, oldest first, with the stages of each.
 * @param agent - id of the recipient
 * @throws the system error
 */
export function messagesAt({ acks }: Pick<DaemonPaths, "acks">, agent: string): SentMessage[] {
  const log = new AppendLog(acks, { path: acks.replace(/\.jsonl$/, ".1.jsonl"), atBytes: Infinity })
  const messages = new Map<string, SentMessage["stages"][number][]>()
  for (const line of log.readNewest(readBytes)) {
    const { msg_id: id, state, ts, by, evidence } = parse(line)
    if (by !== agent || typeof id !== "string" || typeof state !== "string" || typeof ts !== "number")
      continue
    if (!reported.includes(state)) continue
    const { method } = (evidence ?? {}) as { readonly method?: unknown }
    const stage = { state, ...omitUndefined({ method: typeof method === "string" ? method : undefined }), ts }
    messages.set(id, [...(messages.get(id) ?? []), stage])
  }
  const order = (state: string) => reported.indexOf(state)
  return [...messages].slice(-maxMessages).map(([msg_id, stages]) => ({
    msg_id,
    stages: stages.sort((a, b) => order(a.state) - order(b.state)),
  }))
}

function parse(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
