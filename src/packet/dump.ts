/** A packet's bytes as text, line for line as tcpdump prints them: -x and -X in hexadecimal, -A as characters. */
import type { TextOutput } from './text-output.js'

const BYTES_A_LINE = 16
/** Of the hexadecimal column: eight groups of four digits, a space before each. */
const HEX_WIDTH = 40
const SPACE = 0x20
const DOT = 0x2e

function isGraphic(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f
}

/** `\n\t0x0000:  4500 003c ...`, with `ascii` the characters behind it. */
export function dumpHex(out: TextOutput, bytes: Uint8Array, start: number, length: number, ascii: boolean): void {
  for (let line = 0; line < length; line += BYTES_A_LINE) {
    const count = Math.min(BYTES_A_LINE, length - line)
    out.text('\n\t0x')
    out.hex(line, 4)
    out.text(': ')
    const from = out.length
    for (let i = 0; i < count; i++) {
      if ((i & 1) === 0) out.char(SPACE)
      out.hex(bytes[start + line + i] as number, 2)
    }
    if (!ascii) continue
    for (let i = out.length - from; i < HEX_WIDTH + 2; i++) out.char(SPACE)
    for (let i = 0; i < count; i++) {
      const byte = bytes[start + line + i] as number
      out.char(isGraphic(byte) ? byte : DOT)
    }
  }
}

/** The characters; tabs and line feeds stay, other control characters and all above 126 are dots. */
export function dumpAscii(out: TextOutput, bytes: Uint8Array, start: number, length: number): void {
  out.char(0x0a)
  for (let i = 0; i < length; i++) {
    const byte = bytes[start + i] as number
    if (byte === 0x0d) {
      // Not at the end of a line, where it would be one too many.
      if (length - i > 2 && bytes[start + i + 1] !== 0x0a) out.char(DOT)
    } else {
      out.char(isGraphic(byte) || byte === SPACE || byte === 0x09 || byte === 0x0a ? byte : DOT)
    }
  }
}
