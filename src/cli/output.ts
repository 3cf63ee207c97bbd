// Standard output is for answers, standard error for everything else.

/** @returns after the text was handed over: what follows may be the end of the process. */
export function print(text: string): Promise<void> {
  return write(process.stdout, text);
}

/** One line of news or complaint, named after the program. */
export function say(text: string): Promise<void> {
  return write(process.stderr, `objmount: ${text}`);
}

function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve) => { stream.write(`${text}\n`, () => resolve()); });
}

/** A line that replaces itself on a terminal, and appears at most every few seconds elsewhere. */
export class ProgressLine {
  readonly #stream = process.stderr;
  #shown = false;
  #last = 0;

  show(text: string): void {
    if (this.#stream.isTTY) {
      this.#stream.write(`\r\x1b[K${text.slice(0, Math.max(20, this.#stream.columns - 1))}`);
      this.#shown = true;
    } else if (Date.now() - this.#last > 5000) {
      this.#last = Date.now();
      this.#stream.write(`objmount: ${text}\n`);
    }
  }

  end(): void {
    if (this.#shown) this.#stream.write("\r\x1b[K");
    this.#shown = false;
  }
}

export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] as number)).join("  ").trimEnd()).join("\n");
}

/** "12.3 MiB". */
export function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? String(value) : value.toFixed(1)} ${units[unit] as string}`;
}

/** "3 min". */
export function age(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
