import type { Gcra } from "../guards/gcra.js"
import type { PresenceState } from "../protocol/client-messages.js"
import type { AgentId, Nick } from "../protocol/names.js"
import type { RosterEntry, ServerMessage } from "../protocol/server-messages.js"
import type { Mailbox } from "./mailbox.js"
import { formatSender } from "./message-text.js"
import type { Outgoing } from "./outgoing.js"
import { payloadOf } from "./payload.js"
import type { SentIds } from "./sent-ids.js"

/** What a relay remembers of an agent; of a persistent one beyond its session, so a reconnect resets nothing. */
export interface AgentMemory {
  readonly meter: Gcra
  readonly sent: SentIds
  /** Only a persistent identity has one: nobody else could prove that the mail is theirs. */
  readonly mailbox: Mailbox | undefined
}

/** Somebody who is online and said, or proved, who it is. */
export class Agent {
  readonly id: AgentId
  readonly name: Nick
  readonly memory: AgentMemory
  readonly outgoing: Outgoing
  /** How every MSG of this agent begins. */
  readonly sender: string
  status: PresenceState = "idle"
  activity: string | undefined
  role: string | undefined

  constructor(id: AgentId, name: Nick, memory: AgentMemory, outgoing: Outgoing) {
    this.id = id
    this.name = name
    this.memory = memory
    this.outgoing = outgoing
    this.sender = formatSender(id, name)
  }

  send(message: ServerMessage): void {
    this.outgoing.send(payloadOf(JSON.stringify(message)))
  }

  get rosterEntry(): RosterEntry {
    return {
      id: this.id,
      name: this.name,
      status: this.status,
      ...(this.activity !== undefined && { activity: this.activity }),
      ...(this.role !== undefined && { role: this.role }),
    }
  }
}
