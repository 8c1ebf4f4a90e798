export { AgentChatClient } from "./client/client.js"
export type { AgentChatClientEvents } from "./client/events.js"
export type { AgentChatClientOptions, ClaimOptions, CreateOptions, MessageSearch } from "./client/options.js"
export type { SendAck, SendOptions } from "./client/send-ack.js"
export type { Identity } from "./identity/identity-file.js"
export type {
  DealEvent,
  DisputeOptions,
  Proposal,
  ProposalDraft,
  ProposalQuery,
} from "./proposals/deal-event.js"
export type { Receipt } from "./proposals/receipt.js"
export type { ClaimEntry } from "./protocol/claims.js"
export { ChatError, type ErrorCode, type ErrorDetails, errorSpecs, isErrorCode } from "./protocol/errors.js"
export type { AgentCard } from "./protocol/message-fields.js"
export type { AgentId } from "./protocol/names.js"
export type {
  ChannelEntry,
  ChannelSettings,
  DealState,
  RosterEntry,
  ServerMessage,
  ServerType,
  WelcomeLimits,
} from "./protocol/server-messages.js"
export type { Statement } from "./protocol/statements.js"
export type { Fault, Verb } from "./protocol/verbs.js"
