use document::network::{BondMode, Cidr, Link, Route};

use super::events::user_options;
use super::link::create_request;
use super::route::{Protocol, address_request, route_request};
use super::{Errno, Request, UserOptions, attribute, status};

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

#[test]
fn lays_out_addresses() {
    let bytes = address_request(20, super::NLM_F_CREATE, 2, cidr("10.0.2.15/24")).finish();
    #[rustfmt::skip]
    assert_eq!(bytes, [
        48, 0, 0, 0,  20, 0,  5, 4,  0, 0, 0, 0,  0, 0, 0, 0,
        2, 24, 0, 0,  2, 0, 0, 0,
        8, 0, 2, 0,  10, 0, 2, 15,
        8, 0, 1, 0,  10, 0, 2, 15,
        8, 0, 4, 0,  10, 0, 2, 255,
    ]);
    let bytes = address_request(20, 0, 3, cidr("fd00::1/64")).finish();
    assert_eq!((bytes.len(), &bytes[16..24]), (64, &[10, 64, 0, 0, 3, 0, 0, 0][..]));
    assert_eq!(bytes[24..28], [20, 0, 2, 0]);
}

#[test]
fn lays_out_routes() {
    let via = Some("10.0.2.2".parse().unwrap());
    let route = Route { to: cidr("192.168.7.9/16"), via, metric: None, on_link: true };
    #[rustfmt::skip]
    assert_eq!(route_request(24, 0, 5, route, 100, Protocol::Static).finish()[16..], [
        2, 16, 0, 0, 254, 4, 0, 1, 4, 0, 0, 0,
        8, 0, 1, 0, 192, 168, 0, 0,
        8, 0, 4, 0, 5, 0, 0, 0,
        8, 0, 6, 0, 100, 0, 0, 0,
        8, 0, 5, 0, 10, 0, 2, 2,
    ]);
    let direct = Route { to: cidr("fd00::/8"), via: None, metric: None, on_link: false };
    let bytes = route_request(24, 0, 5, direct, 1, Protocol::Dhcp).finish();
    assert_eq!((&bytes[16..28], bytes.len()), (&[10, 8, 0, 0, 254, 16, 0, 1, 0, 0, 0, 0][..], 64));
}

#[test]
fn lays_out_links() {
    let vlan = Link::Vlan { link: "eth0".into(), id: 258 };
    #[rustfmt::skip]
    assert_eq!(create_request("lan", &vlan, Some(7)).finish(), [
        76, 0, 0, 0,  16, 0,  5, 6,  0, 0, 0, 0,  0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        8, 0, 3, 0, b'l', b'a', b'n', 0,
        8, 0, 5, 0, 7, 0, 0, 0,
        28, 0, 18, 128,
            9, 0, 1, 0, b'v', b'l', b'a', b'n', 0, 0, 0, 0,
            12, 0, 2, 128,
                6, 0, 1, 0, 2, 1, 0, 0,
    ]);
    let bond = Link::Bond { members: vec![], mode: BondMode::Lacp, miimon: 100 };
    let bytes = create_request("bond0", &bond, None).finish();
    assert!(bytes.ends_with(&[5, 0, 1, 0, 4, 0, 0, 0, 8, 0, 3, 0, 100, 0, 0, 0]), "{bytes:?}");
    let bridge = Link::Bridge { members: vec![], stp: true };
    assert!(create_request("br0", &bridge, None).finish().ends_with(&[8, 0, 5, 0, 1, 0, 0, 0]));
}

#[test]
fn every_attribute_can_be_walked() {
    for length in 0..40_u8 {
        let value: Vec<u8> = (0..length).collect();
        let bytes = Request::new(1, 0, &[]).attribute(9, &value).attribute(10, &[1]).finish();
        assert_eq!(bytes.len() % 4, 0);
        assert_eq!(u32::from_ne_bytes(bytes[..4].try_into().unwrap()) as usize, bytes.len());
        let first = u16::from_ne_bytes(bytes[16..18].try_into().unwrap()) as usize;
        assert_eq!(&bytes[20..16 + first], value);
        let next = 16 + first.next_multiple_of(4);
        assert_eq!(bytes[next..], attribute(10, &[1]));
    }
}

#[test]
fn reads_answers() {
    let mut answer = [0; 20];
    answer[4] = 2;
    assert_eq!(status(&answer), Ok(()));
    answer[16..20].copy_from_slice(&(-17i32).to_ne_bytes());
    assert_eq!(status(&answer), Err(Errno::EXIST));
    assert_eq!(status(&answer[..18]), Err(Errno::BADMSG));
    assert_eq!(status(&[]), Err(Errno::BADMSG));
}

#[test]
fn reads_options_of_advertisements() {
    let mut message = vec![10, 0, 8, 0, 3, 0, 0, 0, 134, 0, 0, 0, 0, 0, 0, 0];
    message.extend([25, 1, 2, 3, 4, 5, 6, 7, 99, 99]);
    let options = vec![25, 1, 2, 3, 4, 5, 6, 7];
    assert_eq!(user_options(&message), Some(UserOptions { index: 3, options }));
    message.truncate(23);
    assert_eq!(user_options(&message), None);
    message[8] = 133;
    assert_eq!(user_options(&message), None);
    assert_eq!(user_options(&[]), None);
}
