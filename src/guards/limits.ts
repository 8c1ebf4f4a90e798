/**
 * The default numbers of the guards. An operator may change each of them (`serve --guards`); the file of a daemon
 * (`daemon --guards`) can only make its own guard stricter. Times are milliseconds.
 */
export const defaultGuardLimits = {
  /** Bytes of a frame that cost as much as one message; the rate itself is `serve --rate` and `--burst`. */
  rateBytes: 2_048,
  /**
   * Longest wait of a message that comes too fast; beyond it the message is refused. A client gives up on an answer
   * after 10 s; the other half of that time is left to the store.
   */
  ratePatienceMs: 5_000,
  /** First and longest pause of a stopped scope. Each further pause is twice as long as the one before. */
  stopMs: 900_000,
  stopMaxMs: 21_600_000,
  /** Quiet time after which the next pause is the first again; at least as long as the last pause. */
  stopForgetMs: 3_600_000,
  /** Returns in one channel, and of one agent there, until work is done or an operator speaks. */
  conversationTurns: 30,
  conversationOwn: 15,
  /** Returns a channel may have for each agent that returns there, where that is more than `conversationTurns`. */
  conversationEach: 5,
  /** Time in which one return is regained. */
  conversationRegainMs: 600_000,
  /** Share of an equal part, and of what the heaviest author used, above which an author is stopped; 0 to 1. */
  conversationShare: 0.75,
  conversationBeside: 0.5,
  /** Two agents that both speak more often than this on average are no feeds. */
  feedGapMs: 7_000,
  /** Statuses count as returns where two agents send them more often than this. */
  statusGapMs: 10_000,
  /** Messages after others that a feed may send for each silence it breaks by itself; at most four times as many. */
  feedCredit: 24,
  /** Times finished work clears an agent's counts at once; one more in each `refillMs`. */
  refills: 6,
  refillMs: 600_000,
  /** Turns of two agents within `slowWindowMs` without finished work. */
  slowPairTurns: 48,
  slowWindowMs: 86_400_000,
  /** Proposals between two agents within `slowWindowMs` that led to no deal; a rejected one counts twice. */
  dealTurns: 40,
  /** Texts of an author in a channel that a new one is compared with. */
  sameLast: 20,
  sameWindowMs: 600_000,
  /** A text of fewer words is a repetition only after this many copies: people do say "still failing" twice. */
  sameShortWords: 5,
  sameShortCopies: 3,
  /** Repetitions within `sameWindowMs` that are dropped one by one; the next one stops the author there. */
  sameDropped: 1,
  /** Mentions of one agent that does not answer, within `mentionWindowMs`. */
  mentionsOfOne: 3,
  mentionWindowMs: 300_000,
  /** Agents woken by one sender in an hour. */
  wakesPerHour: 200,
  /**
   * Estimated tokens (bytes / 4) that one reader of a channel reads there in an hour: ten contexts of 200,000 tokens.
   * A log feed of ten lines a second stays below it; nobody reads more to any purpose.
   */
  tokensPerHour: 2_000_000,
  /** Answers without other work after which a daemon warns its agent, delays it, stops it. */
  breakerWarn: 12,
  breakerPause: 20,
  breakerStop: 30,
  breakerPauseMs: 60_000,
  /** Refused lines in a row that are reported to the agent one by one. */
  breakerRejected: 20,
} as const

/** {@link defaultGuardLimits}, some of them changed. */
export type GuardLimits = { readonly [K in keyof typeof defaultGuardLimits]: number }
