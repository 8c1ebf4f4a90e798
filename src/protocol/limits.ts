/** Version of the wire protocol, in WELCOME. */
export const protocolVersion = 1

/** Limits of a relay. WELCOME.limits has those that a client must know. */
export const defaultLimits = {
  /** Size of the largest frame, in bytes. A larger one is refused; over four times this, the session is closed. */
  frameBytes: 256 * 1024,
  /** Messages replayed to a new member of a channel. */
  bufferSize: 20,
  /** Messages kept per channel for returning members, by a relay in memory. */
  retainedMessages: 10_000,
  /** The same in bytes. */
  retainedBytes: 4 * 1024 * 1024,
  /** Most channels of a relay. */
  channels: 1_000,
  /** Channel patterns of all sessions. */
  patterns: 10_000,
  /** Direct messages waiting for one identity, kept in memory. */
  mailboxMessages: 4_000,
  /** The same in bytes. */
  mailboxBytes: 16 * 1024 * 1024,
  /** Direct messages waiting for one identity, kept in a store. */
  storedMailMessages: 40_000,
  /** The same in bytes. */
  storedMailBytes: 256 * 1024 * 1024,
  /** Messages kept per channel in a store. */
  durableMessages: 10_000,
  /** Age at which they are deleted, in milliseconds. */
  durableMs: 30 * 86_400_000,
  /** Bytes queued for a session that does not read; above this it is closed. */
  sessionQueueBytes: 8 * 1024 * 1024,
  /** Messages per second of one agent. */
  ratePerSecond: 1,
  /** Messages one agent may send at once after a pause. */
  rateBurst: 10,
  /** Delayed frames of one session whose agent is over its rate, and their bytes. */
  delayedFrames: 1_024,
  delayedBytes: 1024 * 1024,
  /** Bytes of the delayed frames of all sessions. */
  delayedTotalBytes: 64 * 1024 * 1024,
  /** Milliseconds a connection has to identify itself. */
  handshakeMs: 10_000,
  /** Milliseconds a challenge is valid. */
  challengeMs: 30_000,
  /** Message ids remembered per sender, to recognise a message that is sent twice. */
  rememberedIds: 2_048,
  /** Bytes of the ids that are remembered of all agents. */
  rememberedIdBytes: 128 * 1024 * 1024,
  /** Requests other than messages per second of one session. */
  requestsPerSecond: 50,
  /** Requests other than messages one session may send at once after a pause. */
  requestBurst: 200,
  /** Connections at once. */
  sessions: 10_000,
  /** Connections from one address, except the loopback address. */
  addressSessions: 1_000,
  /** Frames and bytes of one connection before it has identified itself. */
  strangerFrames: 32,
  strangerBytes: 64 * 1024,
  /** Frames from one address before identification: per second, and at once after a pause. */
  strangerFramesPerSecond: 1_000,
  strangerFrameBurst: 20_000,
  /** Bytes of incomplete messages of all connections. */
  intakeTotalBytes: 128 * 1024 * 1024,
  /** Bytes queued for all sessions. */
  queueTotalBytes: 512 * 1024 * 1024,
  /** Persistent identities remembered after they disconnect. */
  identities: 10_000,
  /** Bytes of messages kept for all channels. */
  retainedTotalBytes: 256 * 1024 * 1024,
  /** Bytes of waiting direct messages of all identities, kept in memory. */
  mailTotalBytes: 256 * 1024 * 1024,
  /** The same in a store. */
  storedMailTotalBytes: 4 * 1024 * 1024 * 1024,
  /** Bytes that all agents without a key at one address may leave for agents that are away. */
  keylessMailBytes: 64 * 1024,
  /** Age at which waiting direct messages are deleted, in milliseconds. */
  mailMs: 30 * 86_400_000,
  /** Milliseconds between two checks of the sessions; a session that was silent in between is pinged. */
  probeMs: 2_000,
  /** Milliseconds of silence after which an agent is shown as offline. */
  silenceMs: 6_000,
  /** Milliseconds without reading or writing after which an agent with status `working` is shown as stale. */
  staleMs: 120_000,
  /** Tasks at once, waiting or claimed. */
  tasks: 10_000,
  /** Waiting tasks per role. */
  roleTasks: 2_000,
  /** Milliseconds after which a task fails, whether or not a worker has it. */
  taskMs: 7 * 86_400_000,
  /** Characters of all tasks. */
  taskCharacters: 64 * 1024 * 1024,
  /** Duration of a task's lease, in milliseconds. */
  leaseMs: 60_000,
  /** Times a task is given to a worker before it fails. */
  taskAttempts: 5,
  /** Proposals of a relay, and of one agent. */
  proposals: 100_000,
  agentProposals: 10_000,
  /** Characters of all proposals, as they are stored. */
  proposalCharacters: 256 * 1024 * 1024,
  /** Most milliseconds between the time of a statement and the relay's clock. */
  statementSkewMs: 300_000,
  /** Milliseconds a finished deal is kept. */
  closedProposalMs: 86_400_000,
  /** Milliseconds an accepted deal that is never completed is kept. */
  openProposalMs: 365 * 86_400_000,
  /** Longest `expires` and `dispute_window` of a proposal, in milliseconds. */
  proposalTermMs: 90 * 86_400_000,
} as const

/** {@link defaultLimits} with an operator's changes. */
export type Limits = { readonly [K in keyof typeof defaultLimits]: number }

/** Default port and address of a relay. */
export const defaultPort = 6667
export const defaultServer = `ws://127.0.0.1:${defaultPort}`

/** Channels that every relay has and every daemon joins. */
export const defaultChannels = ["#general", "#agents", "#skills"] as const

/** Longest description and instructions of a channel, in characters. A longer text is refused, not truncated. */
export const descriptionLength = 200
export const instructionsLength = 2_000
/** Longest text of a search, in characters. */
export const searchLength = 200
/** Most rotations that a client shows a relay: the latest ones. */
export const maxRotations = 8

/**
 * Most milliseconds between the time of a signature and that of the relay which accepts the message. A relay leaves older
 * signatures out; a recipient allows a minute more, because the clocks of two relays of one store may differ.
 */
export const signatureSkewMs = { relay: 240_000, recipient: 300_000 } as const

/** WebSocket close codes beyond RFC 6455. */
export const closeCodes = { displaced: 4001, slowReader: 4002, handshakeTimeout: 4003 } as const
