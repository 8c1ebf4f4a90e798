import { isPlain } from "../base/plain.js"
import { canonicalize } from "../identity/canonical-json.js"

/** How a channel takes a `state` that breaks a rule: as any other, with the violations in the answer, or not at all. */
export const enforcements = ["off", "warn", "strict"] as const
/** One of {@link enforcements}. */
export type Enforcement = (typeof enforcements)[number]

/** The statuses that a concept may have next, by its status; `absent` for one that does not exist yet. */
export const transitions = {
  absent: ["proposed"],
  proposed: ["in_progress"],
  in_progress: ["done", "abandoned"],
  done: [],
  abandoned: [],
} as const satisfies Record<string, readonly string[]>

/** A rule that a `state` breaks. */
export interface Violation {
  readonly code:
    | "illegal_transition"
    | "terminal_concept_changed"
    | "result_missing"
    | "not_holder"
    | "concept_dropped"
    | "malformed_state"
  /** The concept, if it is about one. */
  readonly concept?: string
  readonly message: string
}

type Payload = Readonly<Record<string, unknown>>

interface Concept {
  readonly id: string
  readonly status: string
  readonly json: string
  readonly hasResult: boolean
}

const terminal: ReadonlySet<string> = new Set(["done", "abandoned"])

/**
 * Returns the rules that a new `state` breaks.
 * @param before - the payload of the newest `state`; undefined if there is none
 * @param isTakeover - true if the holder is presumed dead, so that anybody may take its place
 */
export function violationsOf(
  before: Payload | undefined,
  after: Payload,
  author: string,
  isTakeover: boolean,
): Violation[] {
  const concepts = conceptsOf(after)
  if (concepts === undefined) {
    return [
      {
        code: "malformed_state",
        message: "concepts must be a list of objects with an id and a status, each id once",
      },
    ]
  }
  const known = conceptsOf(before ?? {}) ?? new Map<string, Concept>()
  const changed = [...concepts.values()].filter(({ id, json }) => known.get(id)?.json !== json)
  const isMoved = changed.some(({ id, status }) => known.has(id) && known.get(id)?.status !== status)
  const holder = holderOf(before ?? {}) ?? author
  return [
    ...changed.flatMap((concept) => changeViolations(known.get(concept.id), concept)),
    ...[...known.keys()].filter((id) => !concepts.has(id)).map(dropped),
    ...(isMoved && holder !== author && !isTakeover ? [notHolder] : []),
  ]
}

const notHolder: Violation = {
  code: "not_holder",
  message: "only the holder of the handoff moves concepts on",
}

function dropped(id: string): Violation {
  return { code: "concept_dropped", concept: id, message: `${id}: a state carries every concept forward` }
}

/** Returns the agent that is expected to write the next `state`. */
export function holderOf({ handoff }: Payload): string | undefined {
  const holder = isPlain(handoff) ? handoff["holder"] : undefined
  return typeof holder === "string" && holder !== "" ? holder : undefined
}

function changeViolations(old: Concept | undefined, concept: Concept): Violation[] {
  const { id, status, hasResult } = concept
  const from = old?.status ?? "absent"
  if (terminal.has(from)) {
    const message = `${id}: is ${from}, and stays as it is; propose a new concept`
    return [{ code: "terminal_concept_changed", concept: id, message }]
  }
  const next: readonly string[] = Object.hasOwn(transitions, from)
    ? transitions[from as keyof typeof transitions]
    : []
  if (from !== status && !next.includes(status)) {
    const message = `${id}: ${from} cannot become ${JSON.stringify(status.slice(0, 32))}; it may become ${next.join(" or ") || "nothing else"}`
    return [{ code: "illegal_transition", concept: id, message }]
  }
  if (terminal.has(status) && !hasResult) {
    return [{ code: "result_missing", concept: id, message: `${id}: ${status} needs a result` }]
  }
  return []
}

/** Returns the concepts of a `state` by id; undefined if it has malformed ones, or one twice. */
function conceptsOf({ concepts = [] }: Payload): Map<string, Concept> | undefined {
  if (!Array.isArray(concepts)) return undefined
  const found = new Map<string, Concept>()
  for (const each of concepts as unknown[]) {
    if (!isPlain(each)) return undefined
    const { id, status, result } = each
    if (typeof id !== "string" || typeof status !== "string" || found.has(id)) return undefined
    const hasResult = result !== undefined && result !== null && result !== ""
    found.set(id, { id, status, json: canonicalize(each), hasResult })
  }
  return found
}
