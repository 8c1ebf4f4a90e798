/** The port for traces: what a message passes through writes spans, wherever they go. */

/** A span of a trace that has begun. */
export interface Span {
  /** Names the span to whoever continues the trace, as W3C `traceparent`; undefined if nothing is traced. */
  readonly context: string | undefined
  /** @param outcome - a word of this program, such as `accepted` or an error code; never a text of an agent */
  end(outcome: string): void
}

/** Facts of a span: words of this program, never names, contents or secrets. */
export type SpanFacts = Readonly<Record<string, string | undefined>>

export interface Tracer {
  /**
   * Begins a span.
   * @param name - such as `agentchat.relay`
   * @param parent - a `traceparent`; undefined to begin a trace
   */
  start(name: string, parent: string | undefined, facts?: SpanFacts): Span
  /** Sends what has ended. Resolves also if that fails. */
  close(): Promise<void>
}

const noSpan: Span = { context: undefined, end: () => {} }

/** Traces nothing. */
export const noTracer: Tracer = { start: () => noSpan, close: () => Promise.resolve() }

/** The form of a `traceparent` (W3C Trace Context), version 00. Zeros alone are no id. */
export const traceparentPattern = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/
