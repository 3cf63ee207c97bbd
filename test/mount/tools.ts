// The tools that people use on a directory, run on a mount. Each case works in a directory of its own, compares with a
// plain local directory where it can, and is then looked at through a second, fresh mount: what is seen there is what
// the store has. Run over the embedded store by `npm test`, over real servers by `npm run test:servers`.

import { whyNoAddon } from "../../src/fuse/channel.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Mounted, run, sh, tempDir, whyMissing, whyNoMount, type MountRequest } from "./harness.js";

interface ToolCase {
  readonly name: string;
  readonly needs: readonly string[];
  /** Bash, in the case's own directory on the mount ($PWD); $LOCAL is a scratch directory on the local disk, $SRC a sample tree. */
  readonly script: string;
  /** Run after a fresh mount, in the same directory. */
  readonly after?: string;
  /** Only said where it holds everywhere but on the mount (printed as skipped with its reason). */
  readonly limit?: number;
}

/** A tree with what trees have: modes, times with nanoseconds, symlinks, empty files and directories, odd names, a large file. */
const SAMPLE = `
mkdir -p "$SRC/dir/deep/er" "$SRC/empty dir" "$SRC/uml\u00e4ut"
printf 'hello\\n' > "$SRC/plain.txt"; : > "$SRC/empty"; printf '#!/bin/sh\\necho ran\\n' > "$SRC/run.sh"; chmod 755 "$SRC/run.sh"
printf secret > "$SRC/private"; chmod 600 "$SRC/private"; chmod 750 "$SRC/dir/deep"
for i in $(seq 1 60); do printf 'file %s\\n' $i > "$SRC/dir/f$i"; done
head -c 9500000 /dev/urandom > "$SRC/dir/large.bin"
printf x > "$SRC/with space & 'quotes' +%.txt"; printf y > "$SRC/uml\u00e4ut/\u6f22\u5b57"
ln -s plain.txt "$SRC/link"; ln -s ../nowhere "$SRC/dir/dangling"
touch -d '2001-02-03 04:05:06.123456789' "$SRC/plain.txt" "$SRC/dir/f1" "$SRC/dir/large.bin"; touch -h -d '2002-03-04 05:06:07.5' "$SRC/link"
touch -d '2003-01-01 00:00:00.25' "$SRC/dir/deep"
`;

/** Mode, size of files, mtime to the nanosecond, link target and content of a tree, as text. */
const FINGERPRINT = `fingerprint() { (cd "$1"; find . -mindepth 1 \\( -type f -printf 'f %m %s %T@ %p\\n' -o -type l -printf 'l %T@ %p -> %l\\n' -o -type d -printf 'd %m %p\\n' \\) | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum); }`;

const CASES: readonly ToolCase[] = [
  {
    name: "cp -a keeps content, modes, times and links", needs: ["nanoseconds"],
    script: `cp -a "$SRC" tree; diff <(fingerprint "$SRC") <(fingerprint tree)`,
    after: `diff <(fingerprint "$SRC") <(fingerprint tree)`,
  },
  {
    name: "mv of trees, within and across directories", needs: ["nanoseconds"],
    script: `cp -a "$SRC" a; mkdir to; mv a b; mv b to/; mv to/b/dir to/b/renamed; mv to/b/renamed/f1 to/b/renamed/f2; [ ! -e a ] && [ ! -e to/b/dir ]
      [ "$(cat to/b/renamed/f2)" = 'file 1' ]; mv to/b/renamed to/b/dir; rm to/b/dir/f2; diff <(fingerprint "$SRC" | grep -vE '/f[12]$') <(fingerprint to/b)`,
    after: `diff <(fingerprint "$SRC" | grep -vE '/f[12]$') <(fingerprint to/b); [ "$(ls)" = to ]`,
  },
  {
    name: "mv from and to a local disk", needs: ["nanoseconds"],
    script: `cp -a "$SRC" "$LOCAL/m"; mv "$LOCAL/m" here; diff <(fingerprint "$SRC") <(fingerprint here); mv here "$LOCAL/back"; diff <(fingerprint "$SRC") <(fingerprint "$LOCAL/back"); [ -z "$(ls)" ]`,
  },
  {
    name: "tar x and tar c", needs: ["nanoseconds"],
    script: `tar --format=posix -C "$SRC" -cf "$LOCAL/t.tar" .; mkdir x; tar -xpf "$LOCAL/t.tar" -C x; diff <(fingerprint "$SRC") <(fingerprint x); tar --format=posix -C x -czf t.tgz .; mkdir "$LOCAL/y"; tar -xpf t.tgz -C "$LOCAL/y"; diff <(fingerprint "$SRC") <(fingerprint "$LOCAL/y")`,
    after: `diff <(fingerprint "$SRC") <(fingerprint x); diff <(tar -tzf t.tgz | sort) <(cd "$SRC"; find . -type d -printf '%p/\\n' -o -printf '%p\\n' | sort)`,
  },
  {
    name: "rsync -a --delete, and the second run copies nothing", needs: ["rsync"],
    script: `cp -a "$SRC" "$LOCAL/s"; S="$LOCAL/s"; mkdir r; rsync -a --delete "$S/" r/; [ -z "$(rsync -a --delete --itemize-changes "$S/" r/ | grep -v '^\\.d' || true)" ]
      printf more >> "$S/dir/f3"; rm "$S/dir/f4"; rsync -a --delete "$S/" r/; [ ! -e r/dir/f4 ]; diff <(fingerprint "$S") <(fingerprint r); [ -z "$(rsync -a --delete -i "$S/" r/)" ]`,
    after: `S="$LOCAL/s"; [ -z "$(rsync -a --delete --itemize-changes "$S/" r/)" ]; diff <(fingerprint "$S") <(fingerprint r)`,
  },
  {
    name: "git clone, commit, gc and fsck", needs: ["git"],
    script: `git config --global user.email t@example.invalid; git config --global user.name t; git config --global init.defaultBranch main; git config --global --add safe.directory '*'
      mkdir "$LOCAL/repo"; cd "$LOCAL/repo"; git init -q; cp -r "$SRC"/. .; git add -A; git commit -qm one; for i in 1 2 3; do echo $i >> plain.txt; git commit -qam "c$i"; done
      cd "$OLDPWD"; git clone -q "$LOCAL/repo" clone; cd clone; [ -z "$(git status --porcelain)" ]; echo new > new.txt; git add new.txt; git commit -qm new; git branch side; git checkout -q side; echo s > side.txt; git add .; git commit -qm side
      git checkout -q main; git merge -q side -m merged; git gc -q; git fsck --strict; [ -z "$(git status --porcelain)" ]; git init -q --bare ../bare.git; git push -q ../bare.git main; git -C ../bare.git fsck`,
    after: `git -C clone fsck --strict; [ -z "$(git -C clone status --porcelain)" ]; git -C clone log --oneline | grep -c . | grep -x 6 >/dev/null; git -C bare.git fsck`, limit: 240_000,
  },
  {
    name: "npm install of a small package", needs: ["npm"],
    script: `mkdir -p "$LOCAL/dep/lib"; printf '{"name":"dep","version":"1.0.0","bin":{"dep":"./lib/cli.js"},"main":"lib/i.js"}' > "$LOCAL/dep/package.json"; echo 'module.exports=42' > "$LOCAL/dep/lib/i.js"; printf '#!/usr/bin/env node\\nconsole.log(require("dep"))\\n' > "$LOCAL/dep/lib/cli.js"
      (cd "$LOCAL/dep" && npm pack --silent >/dev/null); mkdir app; cd app; printf '{"name":"app","version":"1.0.0","private":true}' > package.json; npm install --silent --no-audit --no-fund --offline "$LOCAL/dep/dep-1.0.0.tgz"; [ "$(node -p 'require("dep")')" = 42 ]; [ "$(./node_modules/.bin/dep)" = 42 ]`,
    after: `cd app; [ "$(node -p 'require("dep")')" = 42 ]; [ -L node_modules/.bin/dep ]; npm ls --offline >/dev/null`,
  },
  {
    name: "saving as editors do: temporary file, fsync, rename over, backup", needs: ["python3"],
    script: `printf 'one\\n' > doc; chmod 640 doc
      python3 - <<'P'
import os
for i in range(5):
    fd=os.open('.doc.swp',os.O_RDWR|os.O_CREAT|os.O_EXCL,0o600); os.write(fd,b'line %d\\n'%i); os.fsync(fd); os.fchmod(fd,0o640); os.close(fd)
    if os.path.exists('doc~'): os.unlink('doc~')
    os.rename('doc','doc~'); os.rename('.doc.swp','doc')
    assert open('doc').read()=='line %d\\n'%i
P
      [ "$(ls -A | tr '\\n' ' ')" = 'doc doc~ ' ]`,
    after: `[ "$(cat doc doc~ | tr '\\n' ' ')" = 'line 4 line 3 ' ]; [ "$(stat -c %a doc)" = 640 ]; [ "$(ls -A | tr '\\n' ' ')" = 'doc doc~ ' ]`,
  },
  {
    name: "vim writes and quits", needs: ["vim"],
    script: `printf 'alpha\\nbeta\\n' > note.txt; vim -u NONE -N -es -c 'set nocp backup writebackup' -c '%s/beta/gamma/' -c wq note.txt </dev/null; [ "$(sed -n 2p note.txt)" = gamma ]; [ ! -e .note.txt.swp ]`,
    after: `[ "$(cat note.txt | tr '\\n' ' ')" = 'alpha gamma ' ]`,
  },
  {
    name: "sqlite3 creates, inserts, rolls back and checks", needs: ["sqlite3"],
    script: `sqlite3 db.sqlite "create table t(a integer primary key,b text); begin; with recursive n(i) as (select 1 union all select i+1 from n where i<500) insert into t select i,'row '||i from n; commit; begin; delete from t; rollback; create index x on t(b); vacuum; update t set b='z' where a=7;"
      [ "$(sqlite3 db.sqlite 'select count(*)||b from t where a=7; pragma integrity_check;' | tr '\\n' ' ')" = '1z ok ' ]; [ ! -e db.sqlite-journal ]`,
    after: `[ "$(sqlite3 db.sqlite 'select count(*) from t; pragma integrity_check;' | tr '\\n' ' ')" = '500 ok ' ]`,
  },
  {
    name: "zip and unzip", needs: ["zip", "unzip"],
    script: `cp -a "$SRC" s; zip -qry s.zip s; unzip -tq s.zip; mkdir u; unzip -q s.zip -d u; diff -r --no-dereference s u/s; echo more > more.txt; zip -q s.zip more.txt; unzip -tq s.zip`,
    after: `unzip -tq s.zip; diff -r --no-dereference "$SRC" u/s`,
  },
  {
    name: "sed -i", needs: [],
    script: `for i in 1 2 3; do printf 'a%s\\nb\\n' $i > f$i; done; chmod 644 f1; sed -i 's/b/c/' f1 f2 f3; sed -i.bak '1d' f1; [ "$(cat f1 f2 f1.bak | tr '\\n' ' ')" = 'c a2 c a1 c ' ]; [ "$(ls | wc -l)" = 4 ]`,
    after: `[ "$(cat f1 f2 f1.bak | tr '\\n' ' ')" = 'c a2 c a1 c ' ]; [ "$(ls | wc -l)" = 4 ]`,
  },
  {
    name: "find, du and wc agree with a local copy", needs: [],
    script: `cp -a "$SRC" t; [ "$(find t -type f | wc -l)" = "$(find "$SRC" -type f | wc -l)" ]; [ "$(du -b --apparent-size t/dir/large.bin | cut -f1)" = 9500000 ]; [ "$(find t -name 'f1*' -newermt 2005-01-01 | sort | head -3 | wc -l)" = 3 ]
      find t -type f -size +1M -printf '%f\\n' | grep -x large.bin >/dev/null; [ "$(find t -type f -print0 | xargs -0 cat | wc -c)" = "$(find "$SRC" -type f -print0 | xargs -0 cat | wc -c)" ]; du -s t >/dev/null; find t -empty -type f | grep empty >/dev/null`,
  },
  {
    name: "rm -r of a tree", needs: [],
    script: `cp -a "$SRC" gone; mkdir -p many/a/b/c; for i in $(seq 200); do : > many/a/b/n$i; done; rm -r gone many; [ -z "$(ls -A)" ]`,
    after: `[ -z "$(ls -A)" ]`,
  },
  {
    name: "gio list, copy, info, move and remove", needs: ["gio"],
    script: `printf 'text\\n' > a.txt; gio list . | grep -x a.txt >/dev/null; gio copy a.txt b.txt; gio info b.txt | grep 'standard::size: 5' >/dev/null; gio copy "$SRC/dir/large.bin" big; cmp big "$SRC/dir/large.bin"; gio mkdir d; gio move b.txt d/c.txt; gio remove a.txt; gio info -a standard::type d | grep 'type: 2' >/dev/null; [ "$(gio list d)" = c.txt ]; gio info -f . >/dev/null`,
    after: `[ "$(cat d/c.txt)" = text ]; cmp big "$SRC/dir/large.bin"`,
  },
  {
    name: "appending by several processes with >>", needs: [],
    script: `for p in 1 2 3 4 5 6; do (for i in $(seq 40); do printf 'p%s line %03d\\n' $p $i >> log; done) & done; wait; [ "$(wc -l < log)" = 240 ]; [ "$(sort -u log | wc -l)" = 240 ]; grep -vEq '^p[1-6] line [0-9]{3}$' log && exit 1; true`,
    after: `[ "$(sort -u log | wc -l)" = 240 ]; [ "$(wc -c < log)" = 2880 ]`, limit: 240_000,
  },
  {
    name: "mmap readers and writers", needs: ["python3"],
    script: `python3 - <<'P'
import mmap,os
n=3*1024*1024+123
with open('m','wb') as f: f.truncate(n)
fd=os.open('m',os.O_RDWR); m=mmap.mmap(fd,n)
for o in range(0,n,65536): m[o:o+4]=b'%04d'%(o//65536)
m.flush(); os.fsync(fd)
r=os.open('m',os.O_RDONLY); q=mmap.mmap(r,n,prot=mmap.PROT_READ)
assert q[65536*5:65536*5+4]==b'0005' and q[1000:1004]==b'\\0'*4
m[n-3:n]=b'end'; m.flush(); m.close(); os.close(fd); assert q[n-3:n]==b'end'; q.close(); os.close(r)
P
      [ "$(tail -c 3 m)" = end ]`,
    after: `[ "$(tail -c 3 m)" = end ]; [ "$(dd if=m bs=65536 skip=47 count=1 status=none | head -c 4)" = 0047 ]; [ "$(stat -c %s m)" = 3145851 ]`,
  },
  {
    name: "dd, truncate, fallocate, split, sort in place, install, tee", needs: [],
    script: `dd if=/dev/zero of=z bs=1M count=3 status=none conv=fsync; printf A | dd of=z bs=1 seek=1500000 conv=notrunc status=none; [ "$(dd if=z bs=1 skip=1500000 count=1 status=none)" = A ]; truncate -s 100 z; truncate -s 5000 z; [ "$(stat -c %s z)" = 5000 ]
      [ "$(tail -c 4900 z | tr -d '\\0' | wc -c)" = 0 ]; seq 1000 | shuf > n; sort -n -o n n; diff n <(seq 1000); split -l 100 n part.; cat part.* | diff - n; install -m 600 n k; [ "$(stat -c %a k)" = 600 ]; echo x | tee -a k >/dev/null; [ "$(tail -1 k)" = x ]; cp --sparse=always z zz; cmp z zz; cp --reflink=auto n nn; cmp n nn`,
    after: `[ "$(stat -c '%s %a' k)" = '3895 600' ]; diff n <(seq 1000); cmp z zz; cmp n nn`,
  },
  {
    name: "logrotate by copytruncate and by rename while a writer holds the file", needs: [],
    script: `exec 9>>app.log; echo one >&9; mv app.log app.log.1; echo two >&9; exec 9>&-; [ "$(cat app.log.1 | tr '\\n' ' ')" = 'one two ' ]; exec 9>>app.log; echo three >&9; cp app.log app.log.2; : > app.log; echo four >&9; exec 9>&-; [ "$(cat app.log)" = four ]; [ "$(cat app.log.2)" = three ]`,
    after: `[ "$(cat app.log.1 | tr '\\n' ' ')" = 'one two ' ]; [ "$(cat app.log app.log.2 | tr '\\n' ' ')" = 'four three ' ]`,
  },
];

/** A directory to work in; `again` drops every cache, `dispose` cleans up. */
export interface Workplace {
  readonly directory: string;
  again(): Promise<Workplace>;
  dispose(): Promise<void>;
}

export interface ToolsTarget {
  readonly name: string;
  readonly open: () => Promise<Workplace>;
  /** Why it cannot be run here. */
  readonly skip?: string | undefined;
}

/** A mount as a workplace. */
export function onMount(name: string, request: () => MountRequest): ToolsTarget {
  return { name, open: () => Mounted.start(request()), skip: whyNoMount() };
}

/** The second front end keeps times to the millisecond (docs/SEMANTICS.md). */
function whyNot(toolCase: ToolCase): string | undefined {
  return toolCase.needs.map((need) => need !== "nanoseconds" ? whyMissing(need)
    : whyNoAddon() === undefined ? undefined : "skipped: the native front end is not there").find((reason) => reason !== undefined);
}

/** Registers the suite. Every case runs twice over: on the mount, and its `after` on a fresh mount of the same store. */
export function toolsSuite(target: ToolsTarget): void {
  const why = target.skip;
  describe.skipIf(why !== undefined)(`tools on ${target.name}${why === undefined ? "" : ` (${why})`}`, () => {
    const scratch = tempDir("tools");
    let mounted: Workplace;

    const script = (text: string, index: number): Promise<string> => {
      const env = { SRC: join(scratch, "src"), LOCAL: join(scratch, `local${index}`), HOME: join(scratch, "home") };
      return sh(`${FINGERPRINT}\ncd '${mounted.directory}/case${index}'\n${text}`, { env, limit: CASES[index]?.limit ?? 120_000 });
    };

    beforeAll(async () => {
      mkdirSync(join(scratch, "home"));
      mkdirSync(join(scratch, "src"));
      await sh(SAMPLE, { env: { SRC: join(scratch, "src") } });
      mounted = await target.open();
    });

    CASES.forEach((toolCase, index) => {
      const missing = whyNot(toolCase);
      it.skipIf(missing !== undefined)(`${toolCase.name}${missing === undefined ? "" : ` (${missing})`}`, async () => {
        mkdirSync(join(scratch, `local${index}`));
        await run("mkdir", [join(mounted.directory, `case${index}`)]);
        await script(toolCase.script, index);
      }, 300_000);
    });

    it("everything is the same on a fresh mount", async () => {
      mounted = await mounted.again();
      const wrong: string[] = [];
      for (const [index, toolCase] of CASES.entries()) {
        if (toolCase.after === undefined || whyNot(toolCase) !== undefined) continue;
        await script(toolCase.after, index).catch((error: unknown) => { wrong.push(`${toolCase.name}: ${String(error)}`); });
      }
      expect(wrong).toEqual([]);
    }, 300_000);

    it("rm -rf of all of it leaves an empty directory", async () => {
      await sh(`cd '${mounted.directory}'; rm -rf case*; [ -z "$(ls -A)" ]`);
      mounted = await mounted.again();
      await sh(`[ -z "$(ls -A '${mounted.directory}')" ]`);
    }, 300_000);

    afterAll(async () => {
      try {
        await mounted.dispose();
      } finally {
        rmSync(scratch, { recursive: true, force: true });
      }
    });
  });
}
