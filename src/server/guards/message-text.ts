/** All that its readers have to read. */
export function readableText({
  content,
  parts = [],
}: {
  readonly content: string
  readonly parts?: readonly unknown[] | undefined
}): string {
  return parts.length === 0 ? content : `${content}\n${JSON.stringify(parts)}`
}
