import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, flagOr, value } from "../command.js"
import type { Context } from "../context.js"
import { choice, someText } from "../input/values.js"
import { type RequestOptions, requestOptions } from "../relay/relay-request.js"

const verbs = ["status", "explain", "release", "reset"] as const
type Verb = (typeof verbs)[number]
const people = ["operator", "person"] as const

export const guard = defineCommand({
  args: {},
  options: {
    status: flag("show used limits, stops and held lines (the default)"),
    explain: flag("show what each guard counts, its limits and who lifts it"),
    release: flagOr("ID", "send a held line again", "", someText),
    all: flag("with release: every held line; else, for operators: everything the relay has stopped"),
    drop: flag("with release: discard the held line"),
    reset: flagOr("SCOPE", "lift a stop of the relay, or reset the circuit breaker", "", someText),
    by: value("WHO", "operator (of the relay) or person (at this terminal)", choice(people), people),
    ...requestOptions,
  },
  verbs: Object.fromEntries(verbs.map((verb) => [verb, verb])),
  takesUrl: true,
  examples: [
    "agentchat guard",
    "agentchat guard release ID",
    "agentchat guard release --all --drop",
    "agentchat guard --all --identity operator.json",
    "agentchat guard reset '#general' --by operator --identity operator.json",
    "agentchat guard --reset",
  ],
  notes: [
    "A line that a guard refused is held in rejected.jsonl; release sends it again under the same id, or discards it.",
    "Resetting the circuit breaker asks for a number on the terminal: harder for an agent with a shell, not impossible.",
  ],
  async run(context, input) {
    const { options } = input
    const verb = chooseVerb(options)
    refuseElsewhere(verb, options)
    switch (verb) {
      case "status": {
        const { reportGuards, reportStops } = await import("../guards/guard-report.js")
        return options.all ? reportStops(context, input) : reportGuards(context, input)
      }
      case "explain":
        return (await import("../guards/guard-report.js")).explainGuards(context)
      case "release": {
        const { releaseLines } = await import("../guards/guard-actions.js")
        const { name, drop: isDrop, timeout: timeoutMs } = options
        const id = readId(options.release === "" ? undefined : options.release, options.all)
        return releaseLines(context, { name, id, isDrop, timeoutMs })
      }
      case "reset": {
        const scope = options.reset === "" ? undefined : options.reset
        return reset(context, input, scope, options.by)
      }
    }
  },
})

async function reset(
  context: Context,
  choice: RequestOptions,
  scope: string | undefined,
  by: (typeof people)[number] = scope === undefined ? "person" : "operator",
): Promise<number> {
  const { resetOwnBreaker, resetRelayGuards } = await import("../guards/guard-actions.js")
  if (by === "operator") return resetRelayGuards(context, choice, scope)
  if (scope !== undefined) throw new ChatError("USAGE", `--by: ${by}: the circuit breaker has no SCOPE`)
  return resetOwnBreaker(context, choice.options.name)
}

/** @throws {ChatError} USAGE for an option of another verb */
function refuseElsewhere(
  verb: Verb,
  { all, drop, by }: { all: boolean; drop: boolean; by: string | undefined },
): void {
  if (verb !== "release" && drop) throw new ChatError("USAGE", "--drop: only with release")
  if (all && verb !== "release" && verb !== "status") {
    throw new ChatError("USAGE", `--all: not with ${verb}`, {
      hint: "to lift everything: agentchat guard reset --by operator",
    })
  }
  if (verb !== "reset" && by !== undefined) throw new ChatError("USAGE", "--by: only with reset")
}

function readId(id: string | undefined, isAll: boolean): string | undefined {
  if ((id === undefined) === isAll) return id
  throw new ChatError("USAGE", "release: needs an ID or --all")
}

function chooseVerb(
  flags: Readonly<Record<"status" | "explain", boolean>> &
    Readonly<Record<"release" | "reset", string | undefined>>,
): Verb {
  const [first, second] = verbs.filter((name) => flags[name] !== false && flags[name] !== undefined)
  if (second !== undefined) throw new ChatError("USAGE", `--${String(first)}: not together with ${second}`)
  return first ?? "status"
}
