import { afterAll } from "vitest"
import type { Backbone, Retention } from "../../src/backbone/backbone.js"

/** An engine under test. */
export interface OpenedBackbone {
  readonly backbone: Backbone
  /** Closes the engine and opens its storage again; absent when nothing outlives the engine. */
  reopen?(): Promise<Backbone>
  /** Advances the clock of the engine; absent when that is the real time. */
  pass?(ms: number): void
  cleanup(): Promise<void>
}

/** Returns an engine that is shared by all tests, which use logs and tables of different names. */
export type Start = () => Promise<OpenedBackbone>

/** Time limit for an engine on a loaded machine. */
export const patienceMs = 30_000

/** Bounds that no test reaches. */
export const plenty: Retention = { maxEntries: 1_000, whenFull: "drop-oldest" }

/** Opens an engine at its first use and cleans it up after the tests. */
export function openShared(open: () => Promise<OpenedBackbone>): Start {
  let opened: Promise<OpenedBackbone> | undefined
  afterAll(async () => {
    await (await opened)?.cleanup()
  }, patienceMs)
  return () => {
    opened ??= open()
    return opened
  }
}
