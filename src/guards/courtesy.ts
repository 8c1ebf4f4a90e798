/** Placeholder. */
export function isCourtesy(text: string): boolean {
  return text === "thanks"
}
