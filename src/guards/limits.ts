/**
 * Every number of the guards, and the only place they stand. An operator may change each (`serve --guards`); a daemon's
 * own file (`daemon --guards`) can only make them stricter. Times are milliseconds.
 */
export const defaultGuardLimits = {
  /** Bytes of a frame that count as one more message to the rate (which is `serve --rate` and `--burst`). */
  rateBytes: 2_048,
  /**
   * A message that comes too fast waits up to this; what would wait longer is refused. Half of the 10 s after which a
   * client gives an answer up: the other half is the store's.
   */
  ratePatienceMs: 5_000,
  /** Messages between the beginning of a thread and the one that is refused; from half of them on nobody is woken. */
  hops: 16,
  /** Times the same author may stand in one thread. */
  hopsOwn: 8,
  /** A thread loses one message of its count in this time of silence beyond `hopsFollowMs`; slow loops are counted elsewhere. */
  hopsFadeMs: 60_000,
  /** A message to who last wrote to oneself directly, within this time, continues that thread. */
  hopsFollowMs: 60_000,
  /** Turns two agents may take with each other in `pairWindowMs`; a turn is a message that answers the other's last. */
  pairTurns: 20,
  pairWindowMs: 60_000,
  /** The first pause; each further one within an hour is twice as long, up to `pairCooldownMaxMs`. */
  pairCooldownMs: 60_000,
  pairCooldownMaxMs: 900_000,
  /** The first pause of every other layer that stops somebody, and the longest: each that follows is twice as long. */
  stopMs: 900_000,
  stopMaxMs: 21_600_000,
  /** After so long without another try (or as long as the last pause, if that was longer), the next pause is the first again. */
  stopForgetMs: 3_600_000,
  /** Times agents may come back to speak in one room since an operator spoke there or work was done. */
  conversationTurns: 30,
  /** The same for one agent. */
  conversationOwn: 15,
  /** One turn is regained in this time. */
  conversationRegainMs: 600_000,
  /** Where turns or tokens are used up, only who took so much of an equal share of them is stopped, 0 to 1. */
  conversationShare: 0.75,
  /** And only who took so much of what the one who took most did, 0 to 1. */
  conversationBeside: 0.5,
  /** Of two who speak oftener than this, each on average, neither is a feed. */
  feedGapMs: 7_000,
  /** Statuses are counted as turns where two agents say them oftener than this. */
  statusGapMs: 10_000,
  /** Messages after others that are no turns, for each long silence an agent breaks after itself; at most four times as many. */
  feedCredit: 24,
  /** Times work that is done gives an agent back what it used; one more in each `refillMs`. */
  refills: 6,
  refillMs: 600_000,
  /** Turns of two agents in `slowWindowMs`, without any work done. */
  slowPairTurns: 50,
  /** Turns in a room in which `slowRoomSpeakers` agents or more speak. */
  slowRoomTurns: 200,
  slowRoomSpeakers: 4,
  slowWindowMs: 86_400_000,
  /** Proposals of two agents that came to nothing in `slowWindowMs`; one that is rejected counts twice. */
  dealTurns: 40,
  /** Share of common word groups from which on two texts are the same, 0 to 1. */
  sameSimilarity: 0.9,
  /** A text of fewer words is a repetition only of so many before it: people do say "still failing" twice. */
  sameShortWords: 5,
  sameShortCopies: 3,
  /** Messages of an author in a room that are compared with. */
  sameLast: 20,
  sameWindowMs: 600_000,
  /** Repetitions in that time that are dropped one by one; the next one stops the author in that room. */
  sameDropped: 1,
  /** Words up to which a text can be empty courtesy. */
  emptyWords: 8,
  /** How long the first who answers a question to nobody in particular keeps the floor. */
  floorMs: 45_000,
  /** Mentions of one target that does not answer, in `mentionWindowMs`. */
  mentionsOfOne: 3,
  mentionWindowMs: 300_000,
  /** Agents woken by one sender in an hour. */
  wakesPerHour: 200,
  /** Estimated tokens (bytes / 4, for each recipient) of one room in an hour. */
  tokensPerHour: 500_000,
  /** Times an agent is woken without any other event: from then on it is warned, paused, stopped. */
  breakerWarn: 12,
  breakerPause: 20,
  breakerStop: 30,
  breakerPauseMs: 60_000,
  /** Lines refused one after the other of which an agent is told each; of what follows it is told once. */
  breakerRejected: 20,
} as const

/** {@link defaultGuardLimits}, some of them changed. */
export type GuardLimits = { readonly [K in keyof typeof defaultGuardLimits]: number }
