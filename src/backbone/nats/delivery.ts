import type { Msg, MsgHdrs } from "@nats-io/transport-node"

/** A message of a stream, as a consumer was given it. */
export interface Delivery {
  readonly subject: string
  /** Its number in the stream. */
  readonly seq: number
  /** Its number among what this consumer was given, from 1. */
  readonly place: number
  /** When the stream took it, in milliseconds since the Unix epoch. */
  readonly ts: number
  readonly headers: MsgHdrs | undefined
  /** What it says. */
  text(): string
}

/** Tokens in the shorter of two forms of an acknowledgement's subject, which tells about the delivery. */
const shortLength = 9
const nanosPerMs = 1_000_000

/** Reads what a consumer was given; undefined when it is a status and no message of a stream. */
export function toDelivery(message: Msg): Delivery | undefined {
  const tokens = message.reply?.split(".") ?? []
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined
  // $JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<place>.<nanos>.<pending>, or with a domain, an account
  // before the stream and something random at the end.
  const [seq, place, nanos] = tokens.slice(tokens.length === shortLength ? 5 : 7).map(Number)
  if (!(seq !== undefined && seq > 0) || place === undefined || nanos === undefined) return undefined
  return {
    subject: message.subject,
    seq,
    place,
    ts: Math.floor(nanos / nanosPerMs),
    headers: message.headers,
    text: () => message.string(),
  }
}
