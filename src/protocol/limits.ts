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
  /** Bytes queued for one session that does not read, beyond which it is cut. */
  sessionQueueBytes: 8 * 1024 * 1024,
  /** Messages per second of one agent. */
  ratePerSecond: 1,
  /** Messages one agent may send at once after a pause. */
  rateBurst: 10,
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
  /** Persistent identities remembered after they left. */
  identities: 10_000,
  /** Bytes kept for all channels together. */
  retainedTotalBytes: 256 * 1024 * 1024,
  /** Bytes of direct messages that wait for all identities together. */
  mailTotalBytes: 256 * 1024 * 1024,
} as const

/** {@link defaultLimits} with an operator's changes. */
export type Limits = { readonly [K in keyof typeof defaultLimits]: number }

/** Where a relay listens, and where clients look for one. */
export const defaultPort = 6667
export const defaultServer = `ws://127.0.0.1:${defaultPort}`

/** Channels every relay has and every daemon joins. */
export const defaultChannels = ["#general", "#agents", "#skills"] as const

/** WebSocket close codes beyond RFC 6455. */
export const closeCodes = { displaced: 4001, slowReader: 4002, handshakeTimeout: 4003 } as const
