// The table: seconds or rates as measured, and what counts, the ratio of objmount to the best peer and to the limit,
// each so that more than 1 means objmount is ahead.

const number = (value) => (value >= 100 ? value.toFixed(0) : value >= 1 ? value.toFixed(2) : value.toFixed(3));
const ratio = (line, ours, theirs) => (line.lower ? theirs / ours : ours / theirs);

/** Our native front end against the best peer that finished, and against the yardstick. */
export function ratios(line) {
  const ours = line.cells.find(({ subject }) => subject === "objmount")?.value;
  const other = line.cells.find(({ subject }) => subject.includes("fuse-native"))?.value;
  const peers = line.cells.filter((cell) => !cell.ours && cell.value !== undefined);
  // Of a peer that was stopped before we were through nothing can be said.
  const told = peers.filter((cell) => !cell.over || (line.lower && cell.value >= ours));
  const best = told.sort((a, b) => (line.lower ? a.value - b.value : b.value - a.value))[0];
  return {
    best: best === undefined || ours === undefined ? undefined : { name: best.subject, value: ratio(line, ours, best.value) },
    frontEnds: other === undefined || ours === undefined ? undefined : ratio(line, ours, other),
    limit: line.limit === undefined || ours === undefined ? undefined : { name: line.limit.name, value: ratio(line, ours, line.limit.value) },
  };
}

function cell(c) {
  if (c === undefined) return "-";
  if (c.error !== undefined) return "failed";
  if (c.over) return `over ${number(c.value)}`;
  const moved = c.movedMiB === undefined ? "" : `, ${c.movedMiB.toFixed(1)} MiB moved`;
  return `${number(c.value)} (${Number.isNaN(c.peakMiB) ? "?" : c.peakMiB.toFixed(0)} MiB, ${Number.isNaN(c.cpu) ? "?" : c.cpu.toFixed(1)} s cpu${moved})`;
}

export function text(line) {
  const { best, limit, frontEnds } = ratios(line);
  const parts = line.cells.map((c) => `  ${c.subject.padEnd(24)} ${cell(c)}${c.error === undefined ? "" : `: ${c.error}`}`);
  if (line.limit !== undefined) parts.push(`  ${line.limit.name.padEnd(24)} ${number(line.limit.value)}`);
  const verdict = [best && `best peer ${best.name}: x${best.value.toFixed(2)}`, limit && `limit: x${limit.value.toFixed(2)}`, frontEnds && `native / fuse-native: x${frontEnds.toFixed(2)}`];
  return `${line.row}, ${line.roundTrip} ms\n${parts.join("\n")}\n  => ${verdict.filter(Boolean).join(", ")}`;
}

export function markdown(facts, lines) {
  const heads = ["objmount", "objmount (fuse-native)", "rclone", "s3fs"];
  const rows = lines.map((line) => {
    const { best, limit, frontEnds } = ratios(line);
    const cells = heads.map((head) => cell(line.cells.find(({ subject }) => subject === head || (head === "rclone" && subject.startsWith("rclone")))));
    const said = (r) => (r === undefined ? "-" : `${r.value.toFixed(2)} (${r.name})`);
    return `| ${line.row} | ${line.roundTrip} | ${cells.join(" | ")} | ${line.limit === undefined ? "-" : `${number(line.limit.value)}`} | ${said(best)} | ${said(limit)} | ${frontEnds === undefined ? "-" : frontEnds.toFixed(2)} |`;
  });
  return `# Results of \`npm run bench\`${facts.short ? " (short form)" : ""}

${facts.date}, ${facts.machine}, Linux ${facts.kernel}, Node ${facts.node}; server: ${facts.server}; ${facts.versions.join("; ")}.

Seconds (less is better) unless the row says "per second"; in brackets the peak resident memory of the mount's process, its
processor time during the row and, through the proxy, the bytes it moved. Ratios: more than 1 means objmount is ahead. "over": a
peer was stopped at that time, and the ratio says "at least".
All subjects, the server and the load share the machine's processors. rclone runs with its cache off (it commits at close then), and with
\`--vfs-cache-mode full --vfs-write-back 0s\` in the rows that re-read or change an object in place.

| row | round trip ms | ${heads.join(" | ")} | yardstick | against the best peer | against the yardstick | native against fuse-native |
|---|---|${"---|".repeat(heads.length + 4)}
${rows.join("\n")}
`;
}
