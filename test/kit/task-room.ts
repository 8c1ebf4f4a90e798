import { setImmediate } from "node:timers/promises"
import type { Backbone, Table } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory.js"
import type { ClientMessage } from "../../src/protocol/client-messages.js"
import { ChatError } from "../../src/protocol/errors.js"
import { defaultLimits, type Limits } from "../../src/protocol/limits.js"
import type { AgentId, Nick, RoleRef } from "../../src/protocol/names.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import type { Agent } from "../../src/server/sessions/agent.js"
import type { SentAck } from "../../src/server/sessions/sent-ids.js"
import { type Answer, TaskService } from "../../src/server/tasks/task-service.js"
import { FakeClock } from "./fake-clock.js"

/** Turns of the event loop in which everything that was begun is over: a few per step of the longest chain. */
const turns = 6
/** The same where the store takes its time. */
const slowTurns = 40

/** Somebody with a key, as a desk sees it. */
export class TestWorker {
  readonly id: AgentId
  readonly name: Nick
  readonly isPersistent = true
  role: string | undefined
  status = "idle"
  /** Everything it was ever sent. */
  readonly inbox: ServerMessage[] = []

  constructor(digit: number, role?: string) {
    this.id = `@${String(digit).padStart(16, "0")}` as AgentId
    this.name = `worker-${digit}` as Nick
    this.role = role
  }

  send(message: ServerMessage): void {
    this.inbox.push(message)
  }

  /** Desks know agents, of which this is as much as they look at. */
  get agent(): Agent {
    return this as unknown as Agent
  }

  /** TASK messages, oldest first. */
  get tasks(): ServerMessage<"TASK">[] {
    return this.inbox.filter((message) => message.type === "TASK")
  }

  get taskIds(): string[] {
    return this.tasks.map(({ task }) => task)
  }
}

/** Desks of several relays over one store, and what their houses were asked to do. */
export class TaskRoom {
  readonly clock: FakeClock
  readonly desks: readonly TaskService[]
  /** The task of each answer, also of those a mailbox had. */
  readonly answersSent: string[] = []
  /** By task: a mailbox takes the answer to each once. */
  readonly answers = new Map<string, Answer & { readonly from: AgentId }>()
  readonly news: { readonly to: AgentId; readonly news: ServerMessage<"DELIVERY"> }[] = []
  readonly log: string[] = []
  /** Thrown instead of taking an answer. */
  answerFault: Error | undefined
  readonly #turns: number
  #messages = 0

  private constructor(clock: FakeClock, desks: TaskService[], turns: number) {
    this.clock = clock
    this.desks = desks
    this.#turns = turns
  }

  static async open(
    options: {
      readonly desks?: number
      readonly limits?: Partial<Limits>
      /** What each desk sees of the store takes a while, a different one for each. */
      readonly isSlow?: boolean
      /** Changes what a desk sees of the store. */
      readonly table?: (table: Table) => Table
    } = {},
  ): Promise<TaskRoom> {
    const { isSlow = false, table = (shared: Table): Table => shared } = options
    const clock = new FakeClock()
    const backbone = await openMemoryBackbone({ clock })
    const desks: TaskService[] = []
    const room = new TaskRoom(clock, desks, isSlow ? slowTurns : turns)
    const limits = { ...defaultLimits, ...options.limits }
    for (let i = 0; i < (options.desks ?? 1); i++) {
      const desk = await TaskService.open(
        await viewOf(backbone, (shared) => (isSlow ? slowTable(table(shared), i + 1) : table(shared))),
        { limits, clock },
        {
          writeAnswer: (author, answer) => JSON.stringify({ from: author.id, ...answer }),
          answer: (task, text) => room.#takeAnswer(task, text),
          notify: (to, news) => room.news.push({ to, news }),
          onDone: () => {},
          log: (line) => room.log.push(line),
        },
      )
      desks.push(desk)
    }
    return room
  }

  /** The one desk of a room with one. */
  get desk(): TaskService {
    const [desk] = this.desks
    if (desk === undefined) throw new Error("a room has at least one desk")
    return desk
  }

  /** Asks for work and waits until it is accepted. */
  async ask(asker: TestWorker, role: string, content = "look at this", desk = this.desk): Promise<string> {
    const { id } = await this.askFor(asker, role, content, desk)
    return id
  }

  async askFor(
    asker: TestWorker,
    role: string,
    content = "look at this",
    desk = this.desk,
  ): Promise<{ id: string; receipt: SentAck }> {
    const id = `${asker.id.slice(1)}.m${this.#messages++}`
    return { id, receipt: await desk.push(asker.agent, requestFor(role, content), id) }
  }

  /** What {@link ask} sends, to be sent again. */
  request(role: string): ClientMessage<"MSG"> {
    return requestFor(role, "look at this")
  }

  /** Everything that was begun is over. */
  async settle(): Promise<void> {
    for (let i = 0; i < this.#turns; i++) await setImmediate()
  }

  async advance(ms: number): Promise<void> {
    this.clock.advance(ms)
    await this.settle()
  }

  /** What an asker heard of a task, in order. */
  statesOf(id: string): string[] {
    return this.news.filter(({ news }) => news.msg_id === id).map(({ news }) => news.state)
  }

  #takeAnswer(task: string, text: string): Promise<void> {
    const fault = this.answerFault
    // What a mailbox has it takes again, however full it is.
    const isHad = fault instanceof ChatError && fault.code === "MAILBOX_FULL" && this.answers.has(task)
    if (fault !== undefined && !isHad) return Promise.reject(fault)
    this.answersSent.push(task)
    if (!this.answers.has(task)) {
      this.answers.set(task, JSON.parse(text) as Answer & { readonly from: AgentId })
    }
    return Promise.resolve()
  }
}

/** A message to a role. */
function requestFor(role: string, content: string): ClientMessage<"MSG"> {
  return { type: "MSG", to: `+${role}` as RoleRef, content }
}

async function viewOf(backbone: Backbone, change: (table: Table) => Table): Promise<Pick<Backbone, "table">> {
  const table = change(await backbone.table("task"))
  return { table: () => Promise.resolve(table) }
}

/** The same table over a line on which everything takes a few turns, each way, in order. */
function slowTable(table: Table, delay: number): Table {
  const pass = async () => {
    for (let i = 0; i < delay; i++) await setImmediate()
  }
  async function slowly<T>(act: () => Promise<T>): Promise<T> {
    await pass()
    const value = await act()
    await pass()
    return value
  }
  return {
    get: (key) => slowly(() => table.get(key)),
    put: (key, value, expected) => slowly(() => table.put(key, value, expected)),
    delete: (key, expected) => slowly(() => table.delete(key, expected)),
    rows: () => slowly(() => table.rows()),
    watch: (listener) =>
      table.watch((change) => {
        void pass().then(() => listener(change))
      }),
  }
}
