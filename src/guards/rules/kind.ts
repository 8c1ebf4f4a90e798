import type { Kind } from "../../protocol/message-kinds.js"
import type { Rule, Traced, Trip, Usage } from "../guard-message.js"

const automatic: readonly (Kind | undefined)[] = ["ack", "auto"]

/** What needs no answer gets none from a machine: RFC 3834, and NOTICE of RFC 2812. */
export class KindRule implements Rule {
  readonly name = "kind"

  check({ kind, from, parent }: Traced): Trip | undefined {
    if (parent === undefined || !automatic.includes(kind) || !automatic.includes(parent.kind))
      return undefined
    return {
      layer: this.name,
      scope: `${from} to ${parent.from}`,
      reason: `an ${kind ?? "ack"} does not answer an ${parent.kind ?? "ack"}: nothing is left to say, or say it as a request`,
      retryAfterMs: undefined,
      liftedBy: "time",
      evidence: [parent.id],
    }
  }

  note(): undefined {
    return undefined
  }

  reset(): undefined {
    return undefined
  }

  usage(): Usage[] {
    return []
  }

  save(): unknown {
    return undefined
  }

  load(): undefined {
    return undefined
  }
}
