import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, flagOr, optional, value } from "../command.js"
import type { Context } from "../context.js"
import { choice, closeChoice, someText } from "../input/values.js"
import { type RequestOptions, requestOptions } from "../relay/relay-request.js"

const verbs = ["status", "explain", "release", "reset"] as const
type Verb = (typeof verbs)[number]
const people = ["operator", "person"] as const

export const guard = defineCommand({
  args: {
    verb: optional(`${verbs.join(", ")}; status unless given`, closeChoice(verbs), verbs),
    what: optional("release: the line's id; reset: what a guard has stopped, as it names it", someText),
  },
  options: {
    status: flag("what is used and left of each guard, what they stopped, which lines they kept"),
    explain: flag("what each guard counts, its numbers, who lifts it, what to do"),
    release: value("ID", "send a kept line again", someText),
    all: flag("with release: every kept line"),
    drop: flag("with release: send it not, and keep it no longer"),
    reset: flagOr(
      "SCOPE",
      "lift a guard: of the relay as its operator, else this daemon's own",
      "",
      someText,
    ),
    by: value(
      "WHO",
      "operator: of the relay; person: at this terminal, for the daemon's own",
      choice(people),
      people,
    ),
    ...requestOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat guard",
    "agentchat guard release ID",
    "agentchat guard release --all --drop",
    "agentchat guard reset '#general' --by operator --identity operator.json",
    "agentchat guard --reset",
  ],
  notes: [
    "A line that a guard refused is kept in rejected.jsonl: release sends it again under the same id, or drops it.",
    "The daemon's own breaker asks on the terminal: a hurdle for an agent with a shell, not a proof.",
  ],
  async run(context, input) {
    const { options, args } = input
    const verb = chooseVerb(args.verb, options)
    refuseElsewhere(verb, args.what, options)
    switch (verb) {
      case "status":
        return (await import("../guards/guard-report.js")).reportGuards(context, input)
      case "explain":
        return (await import("../guards/guard-report.js")).explainGuards(context)
      case "release": {
        const { releaseLines } = await import("../guards/guard-release.js")
        const { name, drop: isDrop, timeout: timeoutMs } = options
        const id = readId(args.what ?? options.release, options.all)
        return releaseLines(context, { name, id, isDrop, timeoutMs })
      }
      case "reset": {
        const scope = args.what ?? (options.reset === "" ? undefined : options.reset)
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
  const { resetOwnBreaker, resetRelayGuards } = await import("../guards/guard-reset.js")
  if (by === "operator") return resetRelayGuards(context, choice, scope)
  if (scope !== undefined) throw new ChatError("USAGE", `--by: ${by}: the daemon's own breaker has no SCOPE`)
  return resetOwnBreaker(context, choice.options.name)
}

/** What only one of the verbs heeds. */
function refuseElsewhere(
  verb: Verb,
  what: string | undefined,
  { all, drop, by }: { all: boolean; drop: boolean; by: string | undefined },
): void {
  if (verb !== "release" && (all || drop)) {
    throw new ChatError("USAGE", `--${all ? "all" : "drop"}: only with release`)
  }
  if (verb !== "reset" && by !== undefined) throw new ChatError("USAGE", "--by: only with reset")
  if (verb === "release" || verb === "reset" || what === undefined) return
  throw new ChatError("USAGE", `guard ${verb}: takes nothing after it`, {
    hint: "agentchat guard --name NAME",
  })
}

function readId(id: string | undefined, isAll: boolean): string | undefined {
  if ((id === undefined) === isAll) return id
  throw new ChatError("USAGE", "release: wants an ID or --all")
}

function chooseVerb(
  verb: Verb | undefined,
  flags: Readonly<Record<"status" | "explain", boolean>> &
    Readonly<Record<"release" | "reset", string | undefined>>,
): Verb {
  const chosen = verbs.filter((name) => flags[name] !== false && flags[name] !== undefined)
  const [first = verb, second = verb] = chosen
  if (second !== undefined && first !== second) {
    throw new ChatError("USAGE", `--${String(first)}: not together with ${second}`)
  }
  return first ?? "status"
}
