import { noTracer, type Tracer } from "../base/tracer.js"

/** Variables of OpenTelemetry that say where spans go. */
const endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] as const

/**
 * Opens the tracer that the environment asks for. Nothing of OpenTelemetry is loaded without an endpoint.
 * @param service - `service.name`, unless `OTEL_SERVICE_NAME` is set
 */
export async function openTracer(
  env: Readonly<Record<string, string | undefined>>,
  service: string,
): Promise<Tracer> {
  const isAsked = endpoints.some((name) => (env[name] ?? "") !== "")
  if (!isAsked || env["OTEL_SDK_DISABLED"] === "true" || env["OTEL_TRACES_EXPORTER"] === "none")
    return noTracer
  const { OtelTracer } = await import("./otel-tracer.js")
  return new OtelTracer(env["OTEL_SERVICE_NAME"] ?? service)
}
