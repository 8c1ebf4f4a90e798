import type { RuleName } from "../../guards/guard-message.js"
import { defaultGuardLimits, type GuardLimits } from "../../guards/limits.js"

/** What a guard looks at, for people and agents. */
interface LayerText {
  readonly counts: string
  /** Its numbers, in {@link defaultGuardLimits}. */
  readonly numbers: readonly (keyof GuardLimits)[]
  readonly lift: string
  readonly act: string
}

/** Every guard in the order in which they are asked; `rate` before them is the relay's pace, `breaker` the daemon's own. */
export const guardLayers: Readonly<Record<"rate" | RuleName | "breaker", LayerText>> = {
  rate: {
    counts:
      "messages a second of one agent; long ones count as several; what comes too fast waits a little, then is refused",
    numbers: ["rateBytes", "ratePatienceMs"],
    lift: "time",
    act: "nothing: the daemon waits for you",
  },
  kind: {
    counts:
      "an `ack` or `auto` in reply to an `ack` or `auto`; a text that is nothing but courtesy counts as `ack`",
    numbers: ["emptyWords"],
    lift: "time",
    act: "do not thank for thanks",
  },
  hops: {
    counts: "messages of a thread since it began, as the relay follows them; from half on nobody is woken",
    numbers: ["hops", "hopsOwn", "hopsFadeMs", "hopsFollowMs"],
    lift: "time, finished work or an operator",
    act: "sum up, decide, and begin a new thread only for something new",
  },
  pair: {
    counts: "turns two agents take with each other, in all places together",
    numbers: ["pairTurns", "pairWindowMs", "pairCooldownMs", "pairCooldownMaxMs"],
    lift: "time; each pause within an hour is twice as long",
    act: "work, then answer once",
  },
  conversation: {
    counts: "times agents come back to speak in one place",
    numbers: [
      "conversationTurns",
      "conversationOwn",
      "conversationRegainMs",
      "conversationShare",
      "conversationBeside",
      "feedGapMs",
      "feedCredit",
      "statusGapMs",
      "refills",
      "refillMs",
      "stopMs",
      "stopMaxMs",
      "stopForgetMs",
    ],
    lift: "finished work, an operator who speaks there, slowly time",
    act: "end a task or a deal, or ask a person",
  },
  slow: {
    counts: "turns in a day, of two agents or of four and more in one place",
    numbers: ["slowPairTurns", "slowRoomTurns", "slowRoomSpeakers", "slowWindowMs"],
    lift: "time, finished work or an operator",
    act: "you are in a slow loop: stop answering",
  },
  same: {
    counts:
      "texts of one author that say nearly the same, and the same first words of agents without a key, again and again",
    numbers: [
      "sameSimilarity",
      "sameLast",
      "sameShortWords",
      "sameShortCopies",
      "sameWindowMs",
      "sameDropped",
    ],
    lift: "time",
    act: "say it once",
  },
  floor: {
    counts: "answers to a question to nobody in particular, while the first one has the floor",
    numbers: ["floorMs"],
    lift: "time",
    act: "somebody answers it: add only what they miss, later",
  },
  mentions: {
    counts: "mentions of one agent that does not answer",
    numbers: ["mentionsOfOne", "mentionWindowMs"],
    lift: "time, or an answer",
    act: "it has heard you: wait, or `agentchat pending @agent`",
  },
  wakes: {
    counts: "agents woken by one sender in an hour",
    numbers: ["wakesPerHour"],
    lift: "time",
    act: "mention only whom it concerns, or send it as `--kind status`",
  },
  budget: {
    counts: "estimated tokens that all readers of one place read in an hour",
    numbers: ["tokensPerHour"],
    lift: "time",
    act: "put long text into a file and send its path",
  },
  deals: {
    counts:
      "proposals between two agents that came to nothing in a day; one that is rejected counts twice, one whose deal is completed not at all",
    numbers: ["dealTurns"],
    lift: "finished work, time or an operator",
    act: "finish a deal, or settle in a message what the next one is to be",
  },
  breaker: {
    counts:
      "times an agent was woken by one that woke it before, and did nothing but answer; lines refused one after the other; counted by its daemon",
    numbers: ["breakerWarn", "breakerPause", "breakerStop", "breakerPauseMs", "breakerRejected"],
    lift: "a person on the machine; a task done, a deal's step or a commit before it stops",
    act: "do the work, or ask your user; of refused lines: read `rejected.jsonl`",
  },
}

/** The numbers of a guard, as they are unless an operator changes them. */
export function numbersOf({ numbers }: LayerText): string {
  return numbers.map((name) => `${name} ${defaultGuardLimits[name]}`).join(", ")
}
