/** Version of the wire protocol, in WELCOME. */
export const protocolVersion = 1

/** Bounds every relay has; those a client must know are told in WELCOME.limits. */
export const defaultLimits = {
  /** Largest frame that is read as a message, in bytes. Up to four times this is refused, beyond that cut. */
  frameBytes: 256 * 1024,
  /** Messages replayed to a newcomer of a channel. */
  bufferSize: 20,
  /** Messages kept per channel for members that come back. */
  retainedMessages: 10_000,
  /** Bytes kept per channel for members that come back. */
  retainedBytes: 4 * 1024 * 1024,
  /** Channels a relay holds at most. */
  channels: 1_000,
  /** Direct messages that wait for one identity. */
  mailboxMessages: 1_000,
  /** Bytes of direct messages that wait for one identity. */
  mailboxBytes: 4 * 1024 * 1024,
  /** Direct messages that wait for one identity, where they are kept outside of memory. */
  storedMailMessages: 20_000,
  /** The same in bytes. */
  storedMailBytes: 64 * 1024 * 1024,
  /** Messages kept of a durable channel. */
  durableMessages: 10_000,
  /** Milliseconds they are kept. */
  durableMs: 30 * 86_400_000,
  /** Milliseconds the messages of other channels are kept for relays that share them. */
  liveMs: 86_400_000,
  /** Bytes queued for one session that does not read, beyond which it is cut. */
  sessionQueueBytes: 8 * 1024 * 1024,
  /** Messages per second of one agent. */
  ratePerSecond: 1,
  /** Messages one agent may send at once after a pause. */
  rateBurst: 10,
  /** Frames of one session that wait because its agent is too fast, and their bytes. */
  delayedFrames: 1_024,
  delayedBytes: 1024 * 1024,
  /** Bytes of them of all sessions together. */
  delayedTotalBytes: 64 * 1024 * 1024,
  /** Milliseconds a connection may take to identify itself. */
  handshakeMs: 10_000,
  /** Milliseconds a challenge may be answered. */
  challengeMs: 30_000,
  /** Message ids remembered per sender, to recognise the same message sent twice. */
  rememberedIds: 2_048,
  /** Requests other than messages per second of one session. */
  requestsPerSecond: 50,
  /** Requests other than messages one session may send at once after a pause. */
  requestBurst: 200,
  /** Connections held at once. */
  sessions: 10_000,
  /** Those of one address, unless it is this machine's own. */
  addressSessions: 1_000,
  /** Frames and bytes one connection may send before it has identified itself. */
  strangerFrames: 32,
  strangerBytes: 64 * 1024,
  /** Frames per second from one address before they belong to anybody, and at once after a pause. */
  strangerFramesPerSecond: 1_000,
  strangerFrameBurst: 20_000,
  /** Bytes of messages that have not wholly arrived, of all connections together. */
  intakeTotalBytes: 128 * 1024 * 1024,
  /** Bytes queued for all sessions that do not read. */
  queueTotalBytes: 512 * 1024 * 1024,
  /** Persistent identities remembered after they left. */
  identities: 10_000,
  /** Bytes kept for all channels together. */
  retainedTotalBytes: 256 * 1024 * 1024,
  /** Bytes of direct messages that wait for all identities together. */
  mailTotalBytes: 256 * 1024 * 1024,
  /** Milliseconds between two looks at the sessions; one that said nothing since the last look is pinged. */
  probeMs: 2_000,
  /** Milliseconds without a sign of life after which an agent is shown offline. */
  silenceMs: 6_000,
  /** Milliseconds after which an agent that says `working`, and neither reads nor says anything, is shown stale. */
  staleMs: 120_000,
  /** Tasks that stand at once, waiting or claimed. */
  tasks: 10_000,
  /** Tasks that wait for one role. */
  roleTasks: 2_000,
  /** Characters of all tasks that stand. */
  taskCharacters: 64 * 1024 * 1024,
  /** Milliseconds for which a worker has a task before it has to ask for more time. */
  leaseMs: 60_000,
  /** Times a task is given to a worker; after that it is given up. */
  taskAttempts: 5,
  /** Proposals a relay keeps, and those of them that one agent made. */
  proposals: 100_000,
  agentProposals: 10_000,
  /** Characters of all of them, as the store holds them. */
  proposalCharacters: 256 * 1024 * 1024,
  /** Milliseconds by which the time of a statement may differ from the relay's clock. */
  statementSkewMs: 300_000,
  /** Milliseconds for which a relay keeps a proposal after nothing can be said in it any more. */
  closedProposalMs: 86_400_000,
  /** Milliseconds for which it keeps one that was accepted and never ended. */
  openProposalMs: 365 * 86_400_000,
  /** Longest time in which a proposal can be answered, or a deal be disputed: so long a place may be taken. */
  proposalTermMs: 90 * 86_400_000,
} as const

/** {@link defaultLimits} with an operator's changes. */
export type Limits = { readonly [K in keyof typeof defaultLimits]: number }

/** Where a relay listens, and where clients look for one. */
export const defaultPort = 6667
export const defaultServer = `ws://127.0.0.1:${defaultPort}`

/** Channels every relay has and every daemon joins. */
export const defaultChannels = ["#general", "#agents", "#skills"] as const

/** Longest description and instructions of a channel, in characters; a longer one is refused, never cut. */
export const descriptionLength = 200
export const instructionsLength = 2_000
/** A length of time: a whole number of seconds, minutes, hours or days. */
export const durationPattern = /^[1-9][0-9]{0,5}[smhd]$/

/** WebSocket close codes beyond RFC 6455. */
export const closeCodes = { displaced: 4001, slowReader: 4002, handshakeTimeout: 4003 } as const
