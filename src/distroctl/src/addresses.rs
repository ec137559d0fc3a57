//! IP addresses of this machine's interfaces, as getifaddrs(3) gives them.

use std::net::IpAddr;

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) interface: String,
    pub(crate) ip: IpAddr,
}

/// All addresses but those of loopback and link-local ones.
pub(crate) fn list() -> std::io::Result<Vec<Address>> {
    let mut first: *mut libc::ifaddrs = std::ptr::null_mut();
    // SAFETY: `first` is a valid place for the pointer.
    if unsafe { libc::getifaddrs(&mut first) } != 0 {
        return Err(std::io::Error::last_os_error());
    }
    let mut addresses = Vec::new();
    let mut current = first;
    // SAFETY: the list's pointers stay valid until freeifaddrs, its end is a null pointer.
    while let Some(entry) = unsafe { current.as_ref() } {
        // SAFETY: ifa_name is a string of the list; ifa_addr is null or points to an address of its family.
        let (name, ip) = unsafe { (std::ffi::CStr::from_ptr(entry.ifa_name), ip(entry.ifa_addr)) };
        if let Some(ip) = ip.filter(|ip| !is_local(ip)) {
            addresses.push(Address { interface: name.to_string_lossy().into_owned(), ip });
        }
        current = entry.ifa_next;
    }
    // SAFETY: `first` came from getifaddrs and is not used any more.
    unsafe { libc::freeifaddrs(first) };
    Ok(addresses)
}

/// # Safety
/// `address` is null or points to a socket address whose size fits its family.
unsafe fn ip(address: *const libc::sockaddr) -> Option<IpAddr> {
    // SAFETY: promised by the caller.
    let family = i32::from(unsafe { address.as_ref() }?.sa_family);
    match family {
        libc::AF_INET => {
            // SAFETY: AF_INET addresses are sockaddr_in.
            let address = unsafe { &*address.cast::<libc::sockaddr_in>() };
            Some(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()))
        }
        libc::AF_INET6 => {
            // SAFETY: AF_INET6 addresses are sockaddr_in6.
            let address = unsafe { &*address.cast::<libc::sockaddr_in6>() };
            Some(IpAddr::from(address.sin6_addr.s6_addr))
        }
        _ => None,
    }
}

fn is_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn lists_addresses() {
        assert!(
            super::list().unwrap().iter().all(|address| !address.ip.is_loopback() && !address.interface.is_empty())
        );
    }
}
