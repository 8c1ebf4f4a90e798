/** Writes spans with OpenTelemetry, which reads its own `OTEL_EXPORTER_OTLP_…` variables. Loaded only if one is set. */
import { type Context, type Tracer as OtelApi, ROOT_CONTEXT, SpanKind, trace } from "@opentelemetry/api"
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base"
import { omitUndefined } from "../base/plain.js"
import { type Span, type SpanFacts, type Tracer, traceparentPattern } from "../base/tracer.js"

/** Most milliseconds that the end of a process waits for the collector. */
const closeMs = 2_000

export class OtelTracer implements Tracer {
  readonly #provider: BasicTracerProvider
  readonly #tracer: OtelApi

  constructor(service: string) {
    this.#provider = new BasicTracerProvider({
      resource: resourceFromAttributes({ "service.name": service }),
      spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
    })
    this.#tracer = this.#provider.getTracer("agentchat")
  }

  start(name: string, parent: string | undefined, facts: SpanFacts = {}): Span {
    const options = { kind: SpanKind.INTERNAL, attributes: omitUndefined(facts) }
    const span = this.#tracer.startSpan(name, options, contextOf(parent))
    const { traceId, spanId, traceFlags } = span.spanContext()
    return {
      context: `00-${traceId}-${spanId}-0${traceFlags & 1}`,
      end: (outcome) => {
        span.setAttribute("agentchat.outcome", outcome)
        span.end()
      },
    }
  }

  async close(): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeMs)
    })
    // A collector that is away must not keep the process from ending.
    await Promise.race([this.#provider.shutdown().catch(() => {}), late])
    clearTimeout(timer)
  }
}

function contextOf(parent: string | undefined): Context {
  if (parent === undefined || !traceparentPattern.test(parent)) return ROOT_CONTEXT
  const [, traceId = "", spanId = "", flags] = parent.split("-")
  const remote = { traceId, spanId, traceFlags: flags === "01" ? 1 : 0, isRemote: true }
  return trace.setSpanContext(ROOT_CONTEXT, remote)
}
