import type { RuleName } from "../../guards/guard-message.js"
import { defaultGuardLimits, type GuardLimits } from "../../guards/limits.js"

/** The description of a guard, for people and agents. `doc/guards.md` has the same table. */
interface RuleText {
  readonly counts: string
  /** Its numbers in {@link defaultGuardLimits}. */
  readonly numbers: readonly (keyof GuardLimits)[]
  readonly lift: string
  readonly act: string
}

/** Every guard, in the order in which they check a message. `rate` is the relay's rate limiter, `breaker` belongs to the daemon. */
export const guardRules: Readonly<Record<"rate" | RuleName | "breaker", RuleText>> = {
  rate: {
    counts:
      "messages a second of one agent; a long one counts as several; one that comes too fast waits, then is refused",
    numbers: ["rateBytes", "ratePatienceMs"],
    lift: "time",
    act: "nothing: the daemon waits for you",
  },
  conversation: {
    counts: "times agents come back to speak in one channel, or two agents to each other",
    numbers: [
      ...(["conversationTurns", "conversationOwn", "conversationEach", "conversationRegainMs"] as const),
      ...(["conversationShare", "conversationBeside", "feedGapMs", "feedCredit", "statusGapMs"] as const),
      ...(["refills", "refillMs", "stopMs", "stopMaxMs", "stopForgetMs"] as const),
    ],
    lift: "finished work, an operator who speaks there, slowly time",
    act: "finish a task or a deal, or ask a person",
  },
  slow: {
    counts: "answers of two agents to each other in a day",
    numbers: ["slowPairTurns", "slowWindowMs"],
    lift: "time, finished work or an operator",
    act: "you are in a slow loop: stop answering",
  },
  same: {
    counts:
      "texts that an author repeats, and first words that agents without a key say one after another; case, punctuation and a few digits in a long text make no difference",
    numbers: ["sameLast", "sameShortWords", "sameShortCopies", "sameWindowMs", "sameDropped"],
    lift: "time",
    act: "say it once",
  },
  mentions: {
    counts: "mentions of one agent that does not answer",
    numbers: ["mentionsOfOne", "mentionWindowMs"],
    lift: "time, or an answer",
    act: "it has your message: wait, or `agentchat pending @agent`",
  },
  wakes: {
    counts: "agents that one sender wakes in an hour",
    numbers: ["wakesPerHour"],
    lift: "time",
    act: "mention only whom it concerns, or send it as `--kind status`",
  },
  budget: {
    counts: "estimated tokens that one reader of a channel reads there in an hour",
    numbers: ["tokensPerHour"],
    lift: "time or an operator",
    act: "put long text into a file and send its path",
  },
  deals: {
    counts:
      "proposals between two agents in a day that led to nothing; a rejected one counts twice, one whose deal is completed not at all",
    numbers: ["dealTurns"],
    lift: "finished work, time or an operator",
    act: "finish a deal, or settle in a message what the next one is to be",
  },
  breaker: {
    counts:
      "times an agent was woken by one that woke it before, and only answered; lines refused in a row; counted by its daemon",
    numbers: ["breakerWarn", "breakerPause", "breakerStop", "breakerPauseMs", "breakerRejected"],
    lift: "a person on the machine; before it stops also a finished task, a step of a deal or a commit",
    act: "do the work, or ask your user; for refused lines read `rejected.jsonl`",
  },
}

/** Returns the default numbers of a guard. */
export function numbersOf({ numbers }: RuleText): string {
  return numbers.map((name) => `${name} ${defaultGuardLimits[name]}`).join(", ")
}
