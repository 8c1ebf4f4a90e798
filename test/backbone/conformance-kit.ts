import { onTestFinished } from "vitest"
import type { Backbone, Retention } from "../../src/backbone/backbone.js"

/** An engine to be examined, with nothing in it. */
export interface OpenedBackbone {
  readonly backbone: Backbone
  /** Closes it and opens what it kept again; absent when nothing outlives it. */
  reopen?(): Promise<Backbone>
  /** Lets the engine's time pass; absent when that is the real time. */
  pass?(ms: number): void
  cleanup(): Promise<void>
}

/** Opens an engine for the running test. */
export type Start = () => Promise<OpenedBackbone>

/** An asynchronous engine on a loaded machine may take its time. */
export const patienceMs = 30_000

/** Bounds nothing here reaches. */
export const plenty: Retention = { maxEntries: 1_000, whenFull: "drop-oldest", storage: "disk" }

/** @param open - called once per test */
export function startOf(open: () => Promise<OpenedBackbone>): Start {
  return async () => {
    const opened = await open()
    onTestFinished(() => opened.cleanup(), patienceMs)
    return opened
  }
}
