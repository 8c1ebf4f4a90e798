/** True for `LONG=1`: storms of kills run at their full length. */
export const isLong = process.env["LONG"] === "1"
