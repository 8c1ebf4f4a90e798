export { AgentChatClient } from "./client/agent-chat-client.js"
export type { AgentChatClientEvents } from "./client/client-events.js"
export type { AgentChatClientOptions, CreateOptions } from "./client/client-options.js"
export type { SendOptions, SendReceipt } from "./client/send-receipt.js"
export type { Identity } from "./identity/identity-file.js"
export type { AgentCard } from "./protocol/client-messages.js"
export { ChatError, type ErrorCode, type ErrorDetails, errorSpecs, isErrorCode } from "./protocol/errors.js"
export type { AgentId } from "./protocol/names.js"
export type {
  ChannelEntry,
  ChannelSettings,
  RosterEntry,
  ServerMessage,
  ServerType,
  WelcomeLimits,
} from "./protocol/server-messages.js"
