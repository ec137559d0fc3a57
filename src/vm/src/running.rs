//! A running machine and what programs do with it: console, QMP, SSH, power.
//!
//! Every failure has the QEMU command ready to paste and the last lines of the console; the log stays.

use crate::console::Console;
use crate::keyboard::stroke;
use crate::machine::{FwCfg, Machine, Network, QEMU, Serial};
use crate::process::{Output, in_words, paste};
use crate::qmp::Qmp;
use crate::ssh::{Key, Ssh};
use anyhow::{Context, Result, anyhow, bail};
use contract::ready::Ready;
use std::fmt::Display;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CONSOLE_TAIL_LINES: usize = 40;
const POLL: Duration = Duration::from_millis(20);
/// QEMU itself, before the guest runs.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A key that is typed.
const KEY_HELD: Duration = Duration::from_millis(60);
/// Limits under KVM.
const CONNECT_LIMIT: Duration = Duration::from_secs(6);
const COMMAND_LIMIT: Duration = Duration::from_secs(40);

/// A port of the loopback that nobody listens on.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("looking for a free port")?.port())
}

/// A running machine. Dropped, it is killed.
pub struct Vm {
    machine: Machine,
    command: String,
    child: Mutex<Child>,
    console: Arc<Console>,
    log: PathBuf,
    serial: Mutex<UnixStream>,
    qmp: Mutex<Qmp>,
    ssh: Option<Ssh>,
    started: Instant,
    folder: tempfile::TempDir,
    /// Lets the thread end that QEMU must not outlive.
    _guardian: Sender<()>,
}

impl Vm {
    /// Starts a machine with its console in `log`. On a user-mode network it gets a key for `user` through fw_cfg and a port
    /// for SSH.
    pub fn start(mut machine: Machine, user: &str, log: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("vm-").tempdir().context("making a temporary folder")?;
        let ssh = give_access(&mut machine, user, folder.path())?;
        let (serial, qmp) = (folder.path().join("serial"), folder.path().join("qmp"));
        let listeners = (listen(&serial)?, listen(&qmp)?);
        machine.serial = Serial::Socket(serial);
        machine.qmp = Some(qmp);

        let mut command = Command::new(QEMU);
        let messages = folder.path().join("stderr");
        let stderr = std::fs::File::create(&messages).context("creating QEMU's log")?;
        command.args(machine.arguments()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let text = paste(&command);
        let console = Arc::new(Console::default());
        let started = Instant::now();
        let (mut child, ports, guardian) = spawn_guarded(command, console.clone(), log.to_path_buf())
            .with_context(|| format!("starting {text}\nhint: is {QEMU} installed?"))?;
        let connected = (|| {
            let serial = accept(&listeners.0, &mut child)?;
            let qmp = accept(&listeners.1, &mut child)?;
            ports.send(serial.try_clone().context("sharing the serial port")?).ok();
            anyhow::Ok((serial, Qmp::new(qmp, START_LIMIT)?))
        })();
        let (serial, qmp) = connected.map_err(|error| {
            let end = ended(&mut child);
            let messages = std::fs::read_to_string(&messages).unwrap_or_default();
            error.context(format!("starting {text}\n{}\nQEMU: {end}", messages.trim_end()))
        })?;
        Ok(Self {
            machine,
            command: text,
            child: Mutex::new(child),
            console,
            log: log.to_path_buf(),
            serial: Mutex::new(serial),
            qmp: Mutex::new(qmp),
            ssh,
            started,
            folder,
            _guardian: guardian,
        })
    }

    /// QEMU's command line, ready to paste.
    pub fn command(&self) -> &str {
        &self.command
    }

    /// The machine, completed by what [`Vm::start`] added.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The console's log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// When QEMU was started.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// An error with QEMU's command and the end of the console.
    pub fn failure(&self, what: impl Display) -> anyhow::Error {
        let mut text = format!("{what}\nqemu: {}\nconsole, end of {}:", self.command, self.log.display());
        for line in self.console.tail(CONSOLE_TAIL_LINES) {
            text.push_str("\n  | ");
            text.push_str(&line);
        }
        let messages = std::fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        if !messages.is_empty() {
            text.push_str(&format!("\nqemu's messages: {}", messages.trim_end()));
        }
        anyhow!(text)
    }

    fn child(&self) -> MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if the kernel has panicked or QEMU has ended.
    fn check(&self) -> Result<()> {
        if let Some(panic) = self.console.panic() {
            bail!("the guest's kernel panicked: {panic}");
        }
        if let Some(status) = self.child().try_wait().context("asking for QEMU's state")? {
            bail!("QEMU has ended: {}", in_words(status));
        }
        Ok(())
    }

    /// The first value `find` gives for a line that the console has shown since the last boot began.
    pub fn wait_for_line<T>(&self, what: &str, limit: Duration, find: impl FnMut(&str) -> Option<T>) -> Result<T> {
        match self.console.wait(Instant::now() + limit, find) {
            Some(value) => Ok(value),
            None => {
                let reason = self.check().err().unwrap_or_else(|| anyhow!("not seen in {} s", limit.as_secs()));
                Err(self.failure(format_args!("waiting for {what}: {reason:#}")))
            }
        }
    }

    /// Types on the serial console.
    pub fn send_serial(&self, text: &str) -> Result<()> {
        let mut serial = self.serial.lock().unwrap_or_else(PoisonError::into_inner);
        serial.write_all(text.as_bytes()).map_err(|error| self.failure(format_args!("typing {text:?}: {error}")))
    }

    /// Types on the keyboard as a person would, a key after the other. US layout.
    pub fn type_on_keyboard(&self, text: &str) -> Result<()> {
        for c in text.chars() {
            let stroke = stroke(c).with_context(|| format!("typing {text:?}: there is no key for {c:?}"))?;
            let keys = stroke.shift.then_some("shift").into_iter().chain([stroke.key.as_str()]);
            let keys: Vec<_> = keys.map(|key| serde_json::json!({"type": "qcode", "data": key})).collect();
            let arguments = serde_json::json!({"keys": keys, "hold-time": KEY_HELD.as_millis() as u64});
            self.qmp().execute("send-key", &arguments)?;
            std::thread::sleep(KEY_HELD * 2);
        }
        Ok(())
    }

    /// The QMP connection.
    pub fn qmp(&self) -> MutexGuard<'_, Qmp> {
        self.qmp.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the screen shows in text mode, and what of earlier lines its memory still holds: 32 KiB at 0xB8000, a character
    /// and its colours in two bytes (IBM VGA technical reference, "Alphanumeric modes"). Lines of 80 follow each other
    /// without a break, so that one that was too long for the screen is whole.
    pub fn screen_text(&self) -> Result<String> {
        let path = self.folder.path().join("screen");
        let arguments = serde_json::json!({"val": 0xb_8000, "size": 0x8000, "filename": path});
        self.qmp().execute("pmemsave", &arguments)?;
        let bytes = std::fs::read(&path).context("reading the screen's memory")?;
        Ok(screen_characters(&bytes))
    }

    /// The way in.
    pub fn access(&self) -> Result<&Ssh> {
        self.ssh.as_ref().context("SSH into a machine without user-mode network")
    }

    /// Runs a command in the guest, with the usual limit.
    pub fn ssh(&self, command: &str) -> Result<Output> {
        self.ssh_with(command, &[], COMMAND_LIMIT)
    }

    /// Runs a command in the guest with `stdin`; `kvm_limit` is stretched for a slow accelerator.
    pub fn ssh_with(&self, command: &str, stdin: &[u8], kvm_limit: Duration) -> Result<Output> {
        let limit = self.machine.accelerator.scaled(kvm_limit);
        let output = self.access()?.run(command, stdin, limit, &|| self.check());
        output.map_err(|error| self.failure(format_args!("in the guest: {command}\n{error:#}")))
    }

    /// Writes a file in the guest.
    pub fn scp_in(&self, bytes: &[u8], path: &str) -> Result<()> {
        let output = self.ssh_with(&format!("cat > '{path}'"), bytes, COMMAND_LIMIT)?;
        if output.status != 0 {
            return Err(self.failure(format_args!("writing {path} in the guest: {}", output.stderr.trim_end())));
        }
        Ok(())
    }

    /// Waits for the READY line on the console, then for the same line through SSH.
    pub fn wait_ready(&self, kvm_limit: Duration) -> Result<Ready> {
        let limit = self.machine.accelerator.scaled(kvm_limit);
        let end = Instant::now() + limit;
        let ready = self.wait_for_line("the READY line", limit, Ready::parse)?;
        let command = format!("cat {}", contract::paths::READY);
        loop {
            self.access()?.keep()?;
            let answer = self.ssh(&command)?;
            if answer.status == 0 {
                if Ready::parse(&answer.stdout) == Some(ready.clone()) {
                    return Ok(ready);
                }
                let text = format!("{} is {:?}, the console says {ready}", contract::paths::READY, answer.stdout);
                return Err(self.failure(text));
            }
            if Instant::now() > end {
                let message = answer.stderr.trim_end();
                return Err(self.failure(format_args!("READY on the console, but {command} over SSH: {message}")));
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// The guest is about to boot again: what the console shows from now on is another boot, and SSH connects anew.
    pub fn begin_boot(&self) {
        self.console.begin_boot();
        if let Some(ssh) = &self.ssh {
            ssh.drop_kept();
        }
    }

    /// Cuts the power.
    pub fn kill(&self) -> Result<()> {
        let mut child = self.child();
        child.kill().context("killing QEMU")?;
        child.wait().context("waiting for QEMU's end")?;
        Ok(())
    }

    /// Waits for QEMU's end; `kvm_limit` is stretched for a slow accelerator.
    pub fn wait_exit(&self, kvm_limit: Duration) -> Result<ExitStatus> {
        let limit = self.machine.accelerator.scaled(kvm_limit);
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child().try_wait().context("asking for QEMU's state")? {
                return Ok(status);
            }
            if let Some(panic) = self.console.panic() {
                return Err(self.failure(format_args!("waiting for power off: {panic}")));
            }
            if Instant::now() > end {
                return Err(self.failure(format_args!("waiting for power off: still on after {} s", limit.as_secs())));
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Characters that are not ASCII are spaces here.
fn screen_characters(memory: &[u8]) -> String {
    let shown = |cell: &[u8]| if (b' '..=b'~').contains(&cell[0]) { char::from(cell[0]) } else { ' ' };
    memory.chunks_exact(2).map(shown).collect()
}

/// Adds a key and a forwarded port for SSH.
fn give_access(machine: &mut Machine, user: &str, folder: &Path) -> Result<Option<Ssh>> {
    let Network::User(network) = &mut machine.network else { return Ok(None) };
    let key = Key::generate(folder)?;
    let port = free_port()?;
    network.forwards.push((port, 22));
    machine.fw_cfg.push((contract::fw_cfg::SSH_KEYS.into(), FwCfg::Text(key.public.clone())));
    Ok(Some(Ssh::new(user, port, &key, folder, machine.accelerator.scaled(CONNECT_LIMIT))))
}

fn listen(path: &Path) -> Result<UnixListener> {
    let listener = UnixListener::bind(path).with_context(|| format!("listening on {}", path.display()))?;
    listener.set_nonblocking(true).with_context(|| format!("listening on {}", path.display()))?;
    Ok(listener)
}

/// Waits for QEMU's connection as long as QEMU lives.
fn accept(listener: &UnixListener, child: &mut Child) -> Result<UnixStream> {
    let end = Instant::now() + START_LIMIT;
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).context("taking QEMU's connection")?;
                return Ok(stream);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("taking QEMU's connection"),
        }
        if let Some(status) = child.try_wait().context("asking for QEMU's state")? {
            bail!("no connection, {}", in_words(status));
        }
        if Instant::now() > end {
            bail!("QEMU did not connect in {} s", START_LIMIT.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// How a QEMU that closed its connections ends; killed if it does not.
fn ended(child: &mut Child) -> String {
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return in_words(status);
        }
        std::thread::sleep(POLL);
    }
    let _ = child.kill();
    let _ = child.wait();
    "still running, killed now".into()
}

/// Starts QEMU from a thread that then follows the console. QEMU gets SIGKILL when that thread ends (prctl(2),
/// PR_SET_PDEATHSIG is about the thread), so no machine outlives a killed test; the thread itself waits for the sender to be
/// dropped.
fn spawn_guarded(
    mut command: Command,
    console: Arc<Console>,
    log: PathBuf,
) -> Result<(Child, Sender<UnixStream>, Sender<()>)> {
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);
    let (child_sender, child) = mpsc::channel();
    let (port, port_receiver): (Sender<UnixStream>, Receiver<UnixStream>) = mpsc::channel();
    let (guardian, done): (Sender<()>, Receiver<()>) = mpsc::channel();
    std::thread::Builder::new()
        .name("console".into())
        .spawn(move || {
            let child = command.spawn();
            let started = child.is_ok();
            if child_sender.send(child).is_err() || !started {
                return;
            }
            if let Ok(port) = port_receiver.recv() {
                // A log that cannot be written ends the thread, and thereby the machine.
                if let Err(error) = console.follow(port, &log) {
                    eprintln!("{error:#}");
                    return;
                }
            }
            let _ = done.recv();
        })
        .context("starting a thread")?;
    let child = child.recv().context("starting a thread")??;
    Ok((child, port, guardian))
}

/// The kernel kills the program when the thread that starts it ends; only Linux can.
#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use rustix::process::{Signal, set_parent_process_death_signal};
    use std::os::unix::process::CommandExt;

    // SAFETY: the closure runs between fork and exec; it makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

#[cfg(test)]
mod tests;
